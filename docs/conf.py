"""Configuration of the documentation site: `python -m sphinx -W -b html docs build/docs`.

The build needs no network. Pages about methods, recipes and code are generated in `docs/reference/`, which is removed
at the end of the build.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import shutil
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "_site"), str(HERE.parent)]

from docstrings import Docstrings  # noqa: E402
from docutils import nodes  # noqa: E402
from links import DOCS, GENERATED, ROOT, rewrite, source_url  # noqa: E402
from names import Package  # noqa: E402
from pages import write_pages  # noqa: E402
from sphinx.addnodes import pending_xref  # noqa: E402

from hf_clcl.utils.version import __version__  # noqa: E402

PACKAGE = Package(ROOT / "hf_clcl")

project = "hf_clcl"
author = copyright = "The hf_clcl authors"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.linkcode"]
exclude_patterns = ["_site"]
smartquotes = False  # dashes of options stay dashes

myst_enable_extensions = ["html_image"]
myst_heading_anchors = 4

html_theme = "furo"
html_title = f"hf_clcl {__version__}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False

add_module_names = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
toc_object_entries_show_parents = "hide"
autodoc_default_options = {"members": True, "no-value": True, "ignore-module-all": True, "show-inheritance": True}
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_mock_imports = ["gradio", "av"]  # optional, and slow to import

# References in docstrings are `py:obj` and must resolve. Types in signatures may be those of other libraries.
nitpicky = True
nitpick_ignore_regex = [("py:(class|exc|data)", ".*"), ("py:obj", r"None|typing\..*|collections\..*")]


def linkcode_resolve(domain: str, info: dict[str, Any]) -> str | None:
    """The source of an object in the repository."""
    found = PACKAGE.find(f"{info['module']}.{info['fullname']}")
    if found is None:
        return None
    module, _ = PACKAGE.split(found.name)
    return source_url(module.path.relative_to(ROOT).as_posix(), getattr(found, "line", None))


def generate(app: Any, config: Any) -> None:
    """Write the generated pages before Sphinx looks for pages."""
    write_pages(PACKAGE)


def clean(app: Any, exception: Exception | None) -> None:
    """Remove the generated pages."""
    shutil.rmtree(DOCS / GENERATED, ignore_errors=True)


def read_page(app: Any, docname: str, content: list[str]) -> None:
    """Change a page that is written for the repository: links to files, links to methods, and the navigation."""
    if docname.startswith(f"{GENERATED}/"):
        return
    content[0] = rewrite(content[0], DOCS / f"{docname}.md", docname)
    if docname == "index":
        content[0] += navigation(content[0])
    if docname == "methods":
        from hf_clcl.methods import METHODS

        for name in METHODS:
            link = f"| [`{name}`]({GENERATED}/methods/{name}.md) |"
            content[0] = re.sub(rf"^\| `{name}` \|", link, content[0], flags=re.M)
        content[0] += toctree("", [f"{GENERATED}/methods/{name}" for name in METHODS])


def navigation(text: str) -> str:
    """The navigation: the sections of the first page, with the pages that their lists link to."""
    trees = []
    for section in text.split("\n## ")[1:]:
        links = re.findall(r"^- \[([^\]]+)\]\(([\w/-]+)\.md\)", section, flags=re.M)
        if links:
            trees.append(toctree(section.splitlines()[0], [f"{title} <{page}>" for title, page in links]))
    return "".join(trees)


def toctree(caption: str, pages: list[str]) -> str:
    return "\n".join(
        ["", "", "```{toctree}", ":hidden:", f":caption: {caption}" if caption else "", *pages, "```", ""]
    )


def read_docstring(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Translate a docstring; the one that `dataclass` makes up of the fields is left out."""
    text = "\n".join(lines)
    made_up = what == "class" and dataclasses.is_dataclass(obj) and text.startswith(f"{obj.__name__}(")
    lines[:] = [] if made_up else Docstrings(PACKAGE).rest(text, name)


def skip_member(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out functions of other libraries that are the default of an option."""
    module = getattr(obj, "__module__", None)
    return True if callable(obj) and module and module.split(".")[0] != "hf_clcl" else None


def shorten_signature(
    app: Any, what: str, name: str, obj: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str, str | None] | None:
    """Write functions that are defaults by their name; leave out the fields of bases such as `TrainingArguments`."""
    if signature is None:
        return None
    signature = re.sub(r"<(?:built-in )?function ([\w.]+)(?: at \w+)?>", r"\1", signature)
    if what == "class" and dataclasses.is_dataclass(obj):
        bases = [base for base in obj.__mro__ if base.__module__.split(".")[0] != "hf_clcl"]
        foreign = {name for base in bases if dataclasses.is_dataclass(base) for name in inspect.get_annotations(base)}
        if foreign:
            own = [field for field in dataclasses.fields(obj) if field.init and field.name not in foreign]
            shown = [f"{field.name}: {field.type} = {field.default!r}" for field in own]
            signature = f"({', '.join([*shown, '**kwargs'])})"
    return signature, returns


def qualify_types(app: Any, doctree: Any) -> None:
    """Give types in signatures their full name, so that each links to the right one of several of the same name."""
    for node in doctree.findall(pending_xref):
        module, target = node.get("py:module"), node.get("reftarget", "")
        if node.get("refdomain") == "py" and node["reftype"] == "class" and module and "." not in target:
            found = PACKAGE.resolve(target, ".".join(filter(None, (module, node.get("py:class")))))
            node["reftarget"] = found.name if found else target


def tidy(app: Any, doctree: Any) -> None:
    """Write fields as docstrings do: `name (type): text`, not `name -- (type): text`; drop `Bases: object`."""
    for paragraph in [node for node in doctree.findall(nodes.paragraph) if node.astext() == "Bases: object"]:
        paragraph.parent.remove(paragraph)
    for field_list in doctree.findall(nodes.field_list):
        for text in [text for text in field_list.findall(nodes.Text) if text == " -- "]:
            following = text.parent[text.parent.index(text) + 1 :]
            described = "".join(node.astext() for node in following)
            text.parent.replace(text, nodes.Text(" " if described.startswith("(") else ": "))


def setup(app: Any) -> dict[str, bool]:
    app.connect("config-inited", generate)
    app.connect("build-finished", clean)
    app.connect("source-read", read_page)
    app.connect("autodoc-process-docstring", read_docstring)
    app.connect("autodoc-skip-member", skip_member)
    app.connect("autodoc-process-signature", shorten_signature)
    app.connect("doctree-read", qualify_types)
    app.connect("doctree-read", tidy)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
