"""Markdown building blocks that escape all names: text, code, tables and lists."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

_SPECIAL = re.compile(r"[\\`*\[\]|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def text(name: object) -> str:
    """Escape a name as plain text in one line. An underscore within a word needs no escape."""
    words = " ".join(str(name).split())
    words = words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\g<0>", words)


def code(value: object) -> str:
    """A value as a code span, also within a table."""
    words = " ".join(str(value).split()).replace("|", "\\|")
    fence = "`" * (_longest_run(words) + 1)
    pad = " " if "`" in words else ""
    return f"{fence}{pad}{words}{pad}{fence}" if words else ""


def block(content: str, language: str = "") -> str:
    """A fenced block; its fence is longer than any fence in the content."""
    fence = "`" * max(3, _longest_run(content) + 1)
    return f"{fence}{language}\n{content.rstrip()}\n{fence}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], words: Collection[int] = (0,)) -> str:
    """A Markdown table.

    Args:
        head (`Sequence[str]`): Column heads.
        rows (`Iterable[Sequence[str]]`): Cells, which are Markdown already.
        words (`Collection[int]`, defaults to `(0,)`): Columns of text; the others are numbers and right-aligned.
    """
    rule = ["---" if i in words else "---:" for i in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, rule, *rows])


def listed(names: Sequence[str]) -> str:
    """Join names as `a, b and c`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _longest_run(content: str) -> int:
    return max(map(len, re.findall("`+", content)), default=0)
