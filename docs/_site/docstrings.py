"""Docstrings in Hugging Face's style, as reStructuredText for autodoc and as Markdown for pages."""

from __future__ import annotations

import inspect
import re
import textwrap
from dataclasses import dataclass

from names import REFERENCE, Module, Package

SECTIONS = {
    "Args": "param",
    "Attributes": "param",
    "Returns": "returns",
    "Yields": "yields",
    "Raises": "raises",
    "Example": "",
    "Examples": "",
}
SPECIAL = re.compile(r"(\*\*[^*\n]+\*\*|\*\w[^*\n]*\*)|([\\*|]|_(?!\w))")
"""Emphasis, which stays, or a character that reStructuredText would read as markup."""
CODE = re.compile(r"(\[`[^`]+`\]|``[^`]+``|`[^`]+`)")


@dataclass
class Entry:
    """One entry of a section, such as `name (`type`): text`.

    Args:
        name (`str`): What is before the type or the colon.
        type (`str`): What is in the parentheses.
        text (`str`): What is behind the colon.
    """

    name: str
    type: str
    text: str


def sections(docstring: str) -> dict[str, str]:
    """The parts of a docstring by their heading; the text before the first heading is under the empty string."""
    parts: dict[str, list[str]] = {"": []}
    heading = ""
    for line in inspect.cleandoc(docstring).splitlines():
        if line.removesuffix(":") in SECTIONS and line.endswith(":"):
            heading = line.removesuffix(":")
            parts[heading] = []
        elif heading and line and not line.startswith(" "):  # text after a section belongs to the description
            heading = ""
            parts[heading] += ["", line]
        else:
            parts[heading].append(line)
    return {name: textwrap.dedent("\n".join(lines)).strip("\n") for name, lines in parts.items()}


def entries(section: str) -> list[Entry]:
    """The entries of a section of arguments or errors."""
    found = []
    for block in re.split(r"\n(?=\S)", section):
        head = re.match(r"([\w*, .]+?)(?:\s+\((.*?)\))?:\s+(.*)", block, flags=re.S)
        if head:
            found.append(Entry(head[1], head[2] or "", " ".join(head[3].split())))
        else:
            found.append(Entry("", "", " ".join(block.split())))
    return found


class Docstrings:
    """Translates docstrings, with their references as links.

    Args:
        package (`Package`): The names of the package.
    """

    def __init__(self, package: Package) -> None:
        self.package = package

    def rest(self, docstring: str, place: str) -> list[str]:
        """A docstring as lines of reStructuredText.

        Args:
            docstring (`str`): The docstring.
            place (`str`): Full name of what it describes.
        """
        lines: list[str] = []
        for name, text in sections(docstring).items():
            if not name:
                lines += [*self._paragraphs(text, place), ""]
            elif name in ("Example", "Examples"):
                lines += [f"**{name}:**", "", *text.splitlines(), ""]
            elif name in ("Returns", "Yields"):
                lines += [f":{SECTIONS[name]}: {self._inline(' '.join(text.split()), place)}", ""]
            else:
                for entry in entries(text):
                    kind = f"({entry.type}): " if entry.type else ""
                    described = self._inline(kind + entry.text, place)
                    lines += [f":{SECTIONS[name]} {key}: {described}" for key in re.split(r",\s*", entry.name)]
                lines.append("")
        return lines

    def markdown(self, text: str, place: str) -> str:
        """A piece of a docstring as Markdown."""
        text = REFERENCE.sub(lambda match: "{py:obj}`" + self._link(match[1], place) + "`", text)
        return re.sub(r"^Source:", "**Source:**", text, flags=re.M)

    def _link(self, reference: str, place: str) -> str:
        shown = reference.rpartition(".")[2] if reference.startswith("~") else reference
        found = self.package.resolve(reference, place)
        if found is None:
            return f"{shown} <unresolved reference {reference} in {place}>"
        while not isinstance(found, Module) and not found.docstring:  # the API pages hold what has a docstring
            found = self.package.find(found.name.rpartition(".")[0])
        return f"{shown} <{found.name}>"

    def _paragraphs(self, text: str, place: str) -> list[str]:
        lines = self._inline(re.sub(r"^Source:", "**Source:**", text, flags=re.M), place).splitlines()
        is_item = [bool(re.match(r"\s*(- |\d+\. )", line)) for line in lines]
        spaced: list[str] = []
        for number, line in enumerate(lines):
            starts_list = is_item[number] and number and lines[number - 1].strip() and not is_item[number - 1]
            if starts_list and not lines[number - 1].startswith(" "):
                spaced.append("")
            spaced.append(line)
        return spaced

    def _inline(self, text: str, place: str) -> str:
        pieces = CODE.split(text)
        for number, piece in enumerate(pieces):
            if number % 2 == 0:
                pieces[number] = SPECIAL.sub(lambda match: match[1] or "\\" + match[2], piece)
                continue
            if reference := REFERENCE.fullmatch(piece):
                piece = f":py:obj:`{self._link(reference[1], place)}`"
            else:
                piece = f"``{' '.join(piece.strip('`').split())}``"
            before = "\\ " if pieces[number - 1][-1:].isalnum() else ""
            after = "\\ " if number + 1 < len(pieces) and re.match(r"\w", pieces[number + 1]) else ""
            pieces[number] = before + piece + after
        return "".join(pieces)
