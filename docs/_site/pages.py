"""The pages of the site that are generated: methods, recipes, API reference, and copies of files outside `docs/`."""

from __future__ import annotations

import importlib
import re
import textwrap
import tomllib
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import yaml
from docstrings import Docstrings, entries, sections
from links import COPIES, DOCS, GENERATED, ROOT, rewrite, source_url
from names import Module, Package


def write_pages(package: Package) -> None:
    """Write all generated pages below `docs/`."""
    from hf_clcl.methods import METHODS

    folder = DOCS / GENERATED
    pages = {page: rewrite((ROOT / path).read_text(encoding="utf-8"), ROOT / path, f"{GENERATED}/{page}")
             for page, path in COPIES.items()}  # fmt: skip
    pages["recipes"] = recipes_page()
    pages |= {f"methods/{name}": method_page(name, method, Docstrings(package)) for name, method in METHODS.items()}
    pages |= {f"api/{name}": text for name, text in api_pages(package).items()}
    for page, text in pages.items():
        path = folder / f"{page}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


# Methods


def method_page(name: str, method: type, docstrings: Docstrings) -> str:
    """One method: idea, sources, options, what it keeps and costs, recipes, citation."""
    place = f"{method.__module__}.{method.__qualname__}"
    bases = [base for base in method.__mro__[1:] if base.__module__.startswith("hf_clcl.")]
    code = f"Code: {_object(method)}" + (f", which extends {_object(bases[0])}" if bases else "") + "."
    parts = [f"# {name}", docstrings.markdown(sections(method.__doc__)[""], place), code]
    parts += [_options(name, method, docstrings), _costs(name)]
    using = [path for path in sorted((ROOT / "recipes").glob("*.yaml")) if _values(path).get("method") == name]
    if using:
        links = [f"[`recipes/{path.name}`](../recipes.md#{_anchor(path.name)})" for path in using]
        parts.append("## Recipes\n\nThese recipes use the method: " + ", ".join(links) + ".")
    if method.citation:
        parts.append(f"## Citation\n\n```bibtex\n{method.citation}\n```")
    return "\n\n".join(part for part in parts if part) + "\n"


def _options(name: str, method: type, docstrings: Docstrings) -> str:
    options = [option for option in fields(method) if option.init]
    if not options:
        return "## Options\n\nThe method has no options."
    own = [option for option in options if option.name in method.__dict__.get("__annotations__", {})]
    inherited = [option for option in options if option not in own]
    block = {"method": name, "methods": {name: {option.name: _default(option) for option in own or options}}}
    parts = ["## Options", f"```yaml\n{yaml.safe_dump(block, sort_keys=False).strip()}\n```"]
    parts.append(f"The values above are the defaults. On the command line: `--methods.{name}.OPTION VALUE`.")
    parts += [_option_table(own, method, docstrings)] if own else []
    if inherited:
        bases = [
            b for b in method.__mro__[1:] if {o.name for o in inherited} & set(b.__dict__.get("__annotations__", ()))
        ]
        parts += [f"Inherited from {', '.join(map(_object, bases))}:", _option_table(inherited, method, docstrings)]
    return "\n\n".join(parts)


def _option_table(options: list[Any], method: type, docstrings: Docstrings) -> str:
    rows = ["| option | values | default | meaning |", "| --- | --- | --- | --- |"]
    for option in options:
        default = _default(option)
        shown = "none" if default is None else f"`{str(default).lower() if isinstance(default, bool) else default}`"
        meaning = _meaning(option.name, method, docstrings)
        rows.append(f"| `{option.name}` | {_kind(str(option.type))} | {shown} | {meaning} |")
    return "\n".join(rows)


def _meaning(option: str, method: type, docstrings: Docstrings) -> str:
    """The description of an option in the nearest class that describes it, rather than refers to another class."""
    for base in method.__mro__:
        for entry in entries(sections(base.__doc__ or "").get("Args", "")):
            if option in re.split(r",\s*", entry.name) and not re.fullmatch(r"See \[`\w+`\]\.", entry.text):
                place = f"{base.__module__}.{base.__qualname__}"
                return docstrings.markdown(entry.text, place).replace("|", "\\|")
    raise ValueError(f"{method.__qualname__}: no docstring describes the option {option}")


def _kind(annotation: str) -> str:
    """A type as words: the choices of a `Literal`, or the name of the type."""
    choices = re.fullmatch(r"Literal\[(.*)\]", annotation, flags=re.S)
    if choices:
        return ", ".join(f"`{choice}`" for choice in re.findall(r"[\"'](.*?)[\"']", choices[1]))
    return " or ".join("none" if kind == "None" else f"`{kind}`" for kind in annotation.split(" | "))


def _default(option: Any) -> Any:
    return option.default if option.default is not MISSING else option.default_factory()


def _costs(name: str) -> str:
    """The row of the method in the table of all methods, from top to bottom."""
    methods = (DOCS / "methods.md").read_text(encoding="utf-8")
    table = [_cells(row) for row in methods.splitlines() if row.startswith("| ")]
    header = next(row for row in table if row[0] == "method" and "memory" in row)
    row = next((row for row in table if row[0] == f"`{name}`" and len(row) == len(header)), None)
    if row is None:
        raise ValueError(f"docs/methods.md: the table of all methods has no row for {name}")
    lines = [f"- **{heading.capitalize()}**: {cell}" for heading, cell in zip(header[1:], row[1:], strict=True)]
    see = "[Methods](../../methods.md#all-methods) explains the symbols and compares all methods."
    return "## What it keeps and costs\n\n" + "\n".join(lines) + f"\n\n{see}"


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip().strip("|"))]


def _object(thing: type) -> str:
    return f"{{py:obj}}`{thing.__qualname__} <{thing.__module__}.{thing.__qualname__}>`"


# Recipes


def recipes_page() -> str:
    """All recipes with the comment at their top."""
    groups = {
        "Complete recipes": ("", "Each of them is a whole run. Any value can be overridden on the command line."),
        "Ablations": ("ablations", "The ablations of the published tables, one recipe a row."),
        "Parts": ("streams", "Recipes take streams, data and reference sets from these files with `include:`."),
        "Launch configurations": ("accelerate", "Configurations for `accelerate launch --config_file`."),
    }
    parts = ["# Recipes", "A recipe is a YAML file that describes a run: model, method, training values and tasks."]
    for title, (folder, text) in groups.items():
        parts += [f"## {title}", text]
        for path in sorted((ROOT / "recipes" / folder).glob("*.yaml")):
            name = path.relative_to(ROOT / "recipes").as_posix()
            source = f"[`recipes/{name}`]({source_url(f'recipes/{name}')})"
            parts += [f"({_anchor(name)})=\n### {name.removesuffix('.yaml')}", *_header(path), f"File: {source}"]
    return "\n\n".join(parts) + "\n"


def _header(path: Path) -> list[str]:
    """The comment at the top of a recipe as Markdown."""
    comment = re.match(r"(?:#.*\n)+", path.read_text(encoding="utf-8"))
    if comment is None:
        raise ValueError(f"{path.relative_to(ROOT)}: the file does not start with a comment that describes it")
    lines = [line[1:].removeprefix(" ").rstrip() for line in comment[0].splitlines()]
    parts = []
    for block in "\n".join(lines).split("\n\n"):
        if all(line.startswith("  ") for line in block.splitlines()):
            parts.append(f"```bash\n{textwrap.dedent(block)}\n```")
        elif re.match(r"\w+\s{2,}", block):
            command, *others = [_header_field(text) for text in re.split(r"\n(?=\S)", block)]
            parts += [command, "\n".join(others)]
        else:
            parts.append(_plain(" ".join(block.split())))
    return parts


def _header_field(text: str) -> str:
    key, value = re.match(r"(\w+)\s+(.*)", text, flags=re.S).groups()
    if key != "command":
        return f"- **{key.capitalize()}**: {_plain(' '.join(value.split()))}"
    command, *rest = re.split(r"\s{2,}", value)
    return f"```bash\n{command}\n```" + (f"\n\n{_plain(' '.join(rest))}" if rest else "")


def _plain(text: str) -> str:
    """Plain text as Markdown, where code and command-line options are code."""
    text = re.sub(r"(?<![\w`-])(--[\w.]+\w)(?![^`]*`(?:[^`]*`[^`]*`)*[^`]*$)", r"`\1`", text)
    pieces = re.split(r"(`[^`]+`)", text)
    return "".join(piece if n % 2 else re.sub(r"([*<>\[\]_\\])", r"\\\1", piece) for n, piece in enumerate(pieces))


def _anchor(name: str) -> str:
    return "recipe-" + re.sub(r"\W", "-", name.removesuffix(".yaml")).replace("_", "-")


def _values(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


# API


def api_pages(package: Package) -> dict[str, str]:
    """The API reference: the public names, and a page for each room of each floor."""
    root = package.folder.name
    floors = _floors()
    rooms = {room: _modules_of(package, f"{root}.{room}") for floor in floors for room in floor}
    commands = [room for floor in floors for room in floor if not rooms[room][0].is_package]
    pages = {"public": _public_page(package)}
    for room, modules in rooms.items():
        if room not in commands:
            pages[room] = _room_page(package, f"{root}.{room}", modules)
    modules = [module for room in commands for module in rooms[room]]
    pages["commands"] = _room_page(package, "Commands", modules, "Modules that are run with `python -m`.")
    page_of = {room: "commands" if room in commands else room for floor in floors for room in floor}
    rows = [
        f"| {number} | [`{room}`]({page_of[room]}.md) | {_first_sentence(rooms[room][0])} |"
        for number, floor in zip(range(len(floors), 0, -1), floors, strict=True)
        for room in floor
    ]
    pages["index"] = "\n\n".join(
        [
            "# API reference",
            "## Public names",
            "These names are imported from `hf_clcl`. Each module is loaded when one of its names is first used.",
            _public_table(package),
            "## Floors",
            "The package is a stack of floors. A module imports from lower floors only. Modules of different rooms on "
            "one floor do not import each other.",
            "\n".join(["| floor | room | content |", "| ---: | --- | --- |", *rows]),
            "\n".join(["```{toctree}", ":hidden:", "", "public", *dict.fromkeys(page_of.values()), "```"]),
        ]
    )
    return {name: text + "\n" for name, text in pages.items()}


def _floors() -> list[list[str]]:
    """The rooms of each floor from the top, as the import contract in `pyproject.toml` lists them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = next(c for c in project["tool"]["importlinter"]["contracts"] if c["type"] == "layers")
    return [[room.strip(" ()") for room in re.split(r"[|:]", floor)] for floor in contract["layers"]]


def _modules_of(package: Package, name: str) -> list[Module]:
    return [m for m in package.modules.values() if m.name == name or m.name.startswith(f"{name}.")]


def _public_page(package: Package) -> str:
    parts = ["# Public names", f"These names are imported from `{package.folder.name}`."]
    parts += [_rest(_directive(package.find(target).name)) for target in package.public.values()]
    return "\n\n".join(parts)


def _public_table(package: Package) -> str:
    rows = ["| name | content |", "| --- | --- |"]
    for name, target in package.public.items():
        found = package.find(target)
        rows.append(f"| {{py:obj}}`{name} <{found.name}>` | {_first_sentence(found)} |")
    return "\n".join(rows)


def _room_page(package: Package, title: str, modules: list[Module], text: str = "") -> str:
    parts = [f"# {title}", text]
    for module in modules:
        inner = module.name.split(".", 2)[-1]
        if len(modules) > 1 and not (module is modules[0] and module.is_package):
            parts.append(f"## {_plain(inner)}")
        elsewhere = [n for n, target in package.public.items() if package.find(target) in module.definitions.values()]
        options = [f":exclude-members: {', '.join(elsewhere)}"] if elsewhere else []
        parts.append(_rest([f".. automodule:: {module.name}", *(f"   {option}" for option in options)]))
        if elsewhere:
            links = [f"{{py:obj}}`{name} <{package.find(package.public[name]).name}>`" for name in elsewhere]
            parts.append(f"On the page of [public names](public.md): {', '.join(links)}.")
    return "\n\n".join(part for part in parts if part)


def _directive(name: str) -> list[str]:
    module, _, inner = name.rpartition(".")
    thing = getattr(importlib.import_module(module), inner)
    kind = "function" if callable(thing) else "data"
    if isinstance(thing, type):
        kind = "exception" if issubclass(thing, Exception) else "class"
    return [f".. auto{kind}:: {name}"]


def _rest(lines: list[str]) -> str:
    return "\n".join(["```{eval-rst}", *lines, "```"])


def _first_sentence(thing: Any) -> str:
    text = " ".join((thing.docstring or "").split("\n\n")[0].split())
    return re.sub(r"\[`~?([\w.]+)`\]", r"`\1`", text).replace("|", "\\|")
