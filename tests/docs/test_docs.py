"""Every link, file and code name on the documentation pages resolves."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

from helpers import ROOT

AGENTS = [ROOT / "AGENTS.md", ROOT / "llms.txt"]
PAGES = sorted([*ROOT.glob("docs/*.md"), ROOT / "benchmarks" / "README.md", ROOT / "SECURITY.md", *AGENTS])


def page_id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def anchors(page: Path) -> set[str]:
    """The anchors of the headings of a page, as GitHub writes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@functools.cache
def definitions() -> set[str]:
    """The names of all classes and functions of the package, those within a class as `Class.name`."""
    names = set()
    for path in (ROOT / "hf_clcl").rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                names.add(node.name)
            if isinstance(node, ast.ClassDef):
                names |= {f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
    return names


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_resolve(page):
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if not link.startswith("https://"):
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_files_named_exist(page):
    text = page.read_text(encoding="utf-8")
    for path in re.findall(r"(?:tests|benchmarks|recipes|scripts|hf_clcl)/[\w/]+\.(?:py|yaml|png|json|tsv)", text):
        assert (ROOT / path).exists(), path
    for name in re.findall(r"`(test_\w+\.py)`", text):
        assert list((ROOT / "tests").rglob(name)), name


@pytest.mark.parametrize(
    "page, heading", [("docs/methods.md", "| paper | code |"), ("benchmarks/README.md", "| saving | code |")]
)
def test_code_named_in_tables_exists(page, heading):
    table = (ROOT / page).read_text(encoding="utf-8").split(heading)[1].split("\n\n")[0]
    cells = [row.rstrip(" |").rsplit("|", 1)[1] for row in table.splitlines()[2:]]
    named = [name for cell in cells for name in re.findall(r"`([\w.]+)`", cell)]
    assert len(named) >= len(cells)
    assert [name for name in named if name not in definitions() | {"peft"}] == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_modules_named_can_be_imported(page):
    """Names such as `hf_clcl.hub` in text and code: a module of the package, or a name within one."""
    for name in set(re.findall(r"\bhf_clcl(?:\.[a-z_]+)+", page.read_text(encoding="utf-8"))):
        parts = name.split(".")
        module = ROOT.joinpath(*parts)
        inner = ROOT.joinpath(*parts[:-1])
        assert (
            module.with_suffix(".py").exists()
            or module.is_dir()
            or (inner.with_suffix(".py").exists() and parts[-1] in definitions())
        ), name
