"""Links of Markdown pages, which work in the repository, made to work on the site."""

from __future__ import annotations

import re
from collections.abc import Callable
from os.path import relpath
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
REPOSITORY = "https://github.com/hf-clcl/hf_clcl"

GENERATED = "reference"
"""Folder below `docs/` that holds generated pages while the site is built."""

COPIES = {
    "benchmarks": "benchmarks/README.md",
    "changelog": "CHANGELOG.md",
    "contributing": "CONTRIBUTING.md",
    "security": "SECURITY.md",
}
"""Generated page -> the file of the repository that it copies."""

PAGES = {
    **{path: f"{GENERATED}/{page}.md" for page, path in COPIES.items()},
    "recipes": f"{GENERATED}/recipes.md",
    "hf_clcl": f"{GENERATED}/api/index.md",
}
"""File or folder of the repository -> the page of the site that shows it, relative to `docs/`."""


def source_url(path: str, line: int | None = None) -> str:
    """Where a file or folder of the repository is on the web."""
    kind = "tree" if (ROOT / path).is_dir() else "blob"
    return f"{REPOSITORY}/{kind}/main/{path}" + (f"#L{line}" if line else "")


def rewrite(text: str, source: Path, page: str) -> str:
    """Markdown with the relative links of a file, changed to those of a page of the site.

    Links between pages in `docs/` stay as they are. A link to a file that has a page becomes a link to the page, and a
    link to any other file or folder becomes one to the repository.

    Args:
        text (`str`): Markdown.
        source (`Path`): The file that it comes from.
        page (`str`): The page that it is shown on, relative to `docs/` and without `.md`.
    """
    return re.sub(r"(?<=\]\()([^)\s]+)(?=\))", _translator(source.parent, page), text)


def _translator(folder: Path, page: str) -> Callable[[re.Match[str]], str]:
    def translate(match: re.Match[str]) -> str:
        path, hash_sign, anchor = match[1].partition("#")
        target = (folder / path).resolve()
        if not path or "://" in path or not target.exists() or not target.is_relative_to(ROOT):
            return match[1]
        name = target.relative_to(ROOT).as_posix()
        if target.is_relative_to(DOCS):
            shown = target.relative_to(DOCS).as_posix()
        elif name in PAGES:
            shown = PAGES[name]
        else:
            return source_url(name) + hash_sign + anchor
        return relpath(shown, Path(page).parent.as_posix()) + hash_sign + anchor

    return translate
