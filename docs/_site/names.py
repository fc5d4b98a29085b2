"""The names of the package, read from its source without importing it, and what a reference in a docstring means.

Docstrings refer to code as those of Hugging Face do: [`Name`], or [`~hf_clcl.module.Name`], which shows the last part.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

REFERENCE = re.compile(r"\[`(~?[A-Za-z_][\w.]*)(?:\(\))?`\]")


@dataclass
class Definition:
    """A class, a function or a constant, or a member of a class.

    Args:
        name (`str`): Full name, such as `hf_clcl.methods.zscl.ZSCL`.
        line (`int`): The line where it starts.
        docstring (`str`, *optional*): Its docstring.
    """

    name: str
    line: int
    docstring: str | None


@dataclass
class Module:
    """One file of the package.

    Args:
        name (`str`): Full name, such as `hf_clcl.methods.zscl`.
        path (`Path`): The file.
        docstring (`str`, *optional*): Its docstring.
        definitions (`dict[str, Definition]`): By the name within the module: `ZSCL`, `ZSCL.reference_texts`.
        imports (`dict[str, str]`): Full names of what it imports from the package, by the name used here.
    """

    name: str
    path: Path
    docstring: str | None = None
    definitions: dict[str, Definition] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)

    @property
    def is_package(self) -> bool:
        return self.path.stem == "__init__"


class Package:
    """All modules of a package by full name.

    Args:
        folder (`Path`): The folder of the package.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.modules: dict[str, Module] = {}
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder.parent).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            self.modules[name] = _read(path, name)
        self.public = _read(folder / "__init__.pyi", folder.name).imports
        """Full names of the public names, in the order of `__init__.pyi`."""

    def find(self, name: str) -> Module | Definition | None:
        """The module or definition with this full name; names that a module imports lead to where they are defined."""
        if name in self.modules:
            return self.modules[name]
        module, inner = self.split(name)
        if module is None:
            return None
        if inner in module.definitions:
            return module.definitions[inner]
        first, _, rest = inner.partition(".")
        target = module.imports.get(first) or (self.public.get(first) if module.name == self.folder.name else None)
        return self.find(f"{target}.{rest}" if rest else target) if target else None

    def split(self, name: str) -> tuple[Module | None, str]:
        """The module of a full name, and the rest of the name."""
        parts = name.split(".")
        for end in range(len(parts), 0, -1):
            if module := self.modules.get(".".join(parts[:end])):
                return module, ".".join(parts[end:])
        return None, name

    def resolve(self, reference: str, place: str) -> Module | Definition | None:
        """What a reference in a docstring means.

        A full name means itself. Any other name is looked for in the class of the docstring, in its module, among the
        public names, and at last in the whole package, where it has to be the only one of this name.

        Args:
            reference (`str`): What is between the backticks.
            place (`str`): Full name of the module, class or function whose docstring holds the reference.
        """
        name = reference.removeprefix("~")
        if name.split(".")[0] == self.folder.name:
            return self.find(name)
        module, inner = self.split(place)
        scopes = [inner, inner.rpartition(".")[0], ""] if module else []
        for scope in dict.fromkeys(scopes):
            if found := self.find(".".join(part for part in (module.name, scope, name) if part)):
                return found
        first, _, rest = name.partition(".")
        if first in self.public:
            return self.find(self.public[first] + (f".{rest}" if rest else ""))
        everywhere = [m.definitions[name] for m in self.modules.values() if name in m.definitions]
        return everywhere[0] if len(everywhere) == 1 else None

    def docstrings(self) -> Iterator[tuple[str, str]]:
        """Full name and docstring of everything that has one."""
        for module in self.modules.values():
            for thing in (module, *module.definitions.values()):
                if thing.docstring:
                    yield thing.name, thing.docstring


def _read(path: Path, name: str) -> Module:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    module = Module(name, path, ast.get_docstring(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (
            node.level or (node.module or "").split(".")[0] == name.split(".")[0]
        ):
            source = _source(node, module)
            module.imports |= {alias.asname or alias.name: f"{source}.{alias.name}" for alias in node.names}
    _define(tree.body, module, "")
    return module


def _source(node: ast.ImportFrom, module: Module) -> str:
    if not node.level:
        return node.module
    parts = module.name.split(".")
    parts = parts[: len(parts) - node.level + module.is_package]
    return ".".join([*parts, *([node.module] if node.module else [])])


def _define(body: list[ast.stmt], module: Module, scope: str) -> None:
    for place, node in enumerate(body):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names, docstring = [node.name], ast.get_docstring(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            elements = [e for target in targets for e in (target.elts if isinstance(target, ast.Tuple) else [target])]
            names, docstring = [e.id for e in elements if isinstance(e, ast.Name)], _text_after(body, place)
        else:
            continue
        for name in names:
            inner = f"{scope}{name}"
            module.definitions.setdefault(inner, Definition(f"{module.name}.{inner}", node.lineno, docstring))
        if isinstance(node, ast.ClassDef):
            _define(node.body, module, f"{scope}{node.name}.")


def _text_after(body: list[ast.stmt], place: int) -> str | None:
    after = body[place + 1] if place + 1 < len(body) else None
    is_text = (
        isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str)
    )
    return after.value.value if is_text else None
