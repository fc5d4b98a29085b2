"""What the documentation site is generated from: references in docstrings, descriptions of options, recipe headers."""

from __future__ import annotations

import re
import sys
from dataclasses import fields

import pytest

from helpers import ROOT

sys.path.append(str(ROOT / "docs" / "_site"))

from docstrings import Docstrings, sections  # noqa: E402
from links import COPIES, PAGES, REPOSITORY, rewrite  # noqa: E402
from names import REFERENCE, Package  # noqa: E402
from pages import api_pages, method_page, recipes_page  # noqa: E402

from hf_clcl.methods import METHODS  # noqa: E402

PACKAGE = Package(ROOT / "hf_clcl")
DOCSTRINGS = Docstrings(PACKAGE)
FILE = re.compile(r"(?<![\w/<.])((?:tests|benchmarks|recipes|scripts|docs|model_cards|hf_clcl)/[\w./-]*\w\.\w+)")


def test_references_in_docstrings_resolve():
    references = [(place, text) for place, docstring in PACKAGE.docstrings() for text in REFERENCE.findall(docstring)]
    assert len(references) > 50
    assert [(place, text) for place, text in references if PACKAGE.resolve(text, place) is None] == []


def test_references_have_the_form_that_is_checked():
    """[`Name`] or [`~hf_clcl.module.Name`]; anything else between these marks would be shown as it is."""
    forms = [text for _, docstring in PACKAGE.docstrings() for text in re.findall(r"\[`[^`]*`\]", docstring)]
    shapes = r"\[`([A-Z][\w, ]*|[a-z\d]|\d[\w, ]*)`\]"  # `[B, d]` is written with its brackets inside the code
    assert [text for text in forms if not REFERENCE.fullmatch(text) and not re.fullmatch(shapes, text)] == []


def test_files_named_in_docstrings_exist():
    named = {(place, path) for place, docstring in PACKAGE.docstrings() for path in FILE.findall(docstring)}
    assert named
    assert sorted((place, path) for place, path in named if not (ROOT / path).exists()) == []


@pytest.mark.parametrize(
    "reference, place, full_name",
    [
        ("Distilling", "hf_clcl.methods.zscl.ZSCL", "hf_clcl.methods.distilling.Distilling"),  # imported there
        ("Regularized", "hf_clcl.methods.zscl.ZSCL", "hf_clcl.methods.regularized.Regularized"),  # the only one
        ("terms", "hf_clcl.methods.base.Method.losses", "hf_clcl.methods.base.Method.terms"),  # of the same class
        ("~hf_clcl.methods.losses.distillation", "hf_clcl", "hf_clcl.methods.losses.distillation"),
        ("hf_clcl.Task", "hf_clcl.data", "hf_clcl.data.task.Task"),  # a public name
    ],
)
def test_a_reference_is_found_where_a_reader_would_look(reference, place, full_name):
    assert PACKAGE.resolve(reference, place).name == full_name


@pytest.mark.parametrize("reference", ["NoSuchName", "~hf_clcl.methods.NoSuchName", "~hf_clcl.no_module.name", "main"])
def test_wrong_and_ambiguous_references_are_not_resolved(reference):
    assert PACKAGE.resolve(reference, "hf_clcl.methods.zscl.ZSCL") is None


def test_docstrings_become_restructured_text():
    text = """The loss `a * b` of [`Distilling`], with a_ and 2 * 3.

    Source: somebody, eq. 1.

    Args:
        weight, share (`float`, *optional*, defaults to 1.0):
            Weights of two
            losses: see [`~hf_clcl.methods.losses.distillation`].
        kwargs: Others.

    Returns:
        `Tensor`: The sum.

    Raises:
        UserError: Where there is none.
    """
    lines = [line for line in DOCSTRINGS.rest(text, "hf_clcl.methods.zscl.ZSCL") if line]
    described = (
        "(``float``, *optional*, defaults to 1.0): Weights of two losses: see "
        ":py:obj:`distillation <hf_clcl.methods.losses.distillation>`."
    )
    assert lines == [
        "The loss ``a * b`` of :py:obj:`Distilling <hf_clcl.methods.distilling.Distilling>`, with a\\_ and 2 \\* 3.",
        "**Source:** somebody, eq. 1.",
        f":param weight: {described}",
        f":param share: {described}",
        ":param kwargs: Others.",
        ":returns: ``Tensor``: The sum.",
        ":raises UserError: Where there is none.",
    ]


@pytest.mark.parametrize("name", METHODS)
def test_each_method_has_a_page_with_all_its_options(name):
    page = method_page(name, METHODS[name], DOCSTRINGS)
    assert page.startswith(f"# {name}\n\n{sections(METHODS[name].__doc__)[''].split('.')[0][:20]}")
    options = [option.name for option in fields(METHODS[name]) if option.init]
    assert [option for option in options if f"| `{option}` |" not in page] == []
    assert "## What it keeps and costs" in page


def test_each_recipe_is_on_the_page_of_recipes():
    page, recipes = recipes_page(), sorted((ROOT / "recipes").rglob("*.yaml"))
    assert len(recipes) > 20
    for path in recipes:
        name = path.relative_to(ROOT / "recipes").as_posix()
        assert f"### {name.removesuffix('.yaml')}\n" in page and f"[`recipes/{name}`]" in page


def test_each_module_is_in_the_api_reference_once():
    text = "\n".join(api_pages(PACKAGE).values())
    modules = re.findall(r"automodule:: (\S+)", text)
    assert sorted(modules) == sorted(PACKAGE.modules.keys() - {"hf_clcl"})
    public = re.findall(r"auto(?:class|function|exception|data):: (\S+)", text)
    assert public == [PACKAGE.find(target).name for target in PACKAGE.public.values()]


def test_each_page_is_in_the_navigation():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    linked = re.findall(r"^- \[[^\]]+\]\(([^)]+)\)", index, flags=re.M)
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert set(linked) == pages | {f"../{path}" for path in PAGES}
    assert all((ROOT / path).exists() for path in COPIES.values())


@pytest.mark.parametrize(
    "link, on_the_site",
    [
        ("methods.md#options", "methods.md#options"),
        ("../benchmarks/README.md#memory", "reference/benchmarks.md#memory"),
        ("../recipes/mtil.yaml", f"{REPOSITORY}/blob/main/recipes/mtil.yaml"),
        ("../hf_clcl/methods", f"{REPOSITORY}/tree/main/hf_clcl/methods"),
        ("https://arxiv.org/abs/2303.06628", "https://arxiv.org/abs/2303.06628"),
        ("#options", "#options"),
    ],
)
def test_links_work_on_the_site(link, on_the_site):
    assert rewrite(f"see [it]({link}).", ROOT / "docs" / "hub.md", "hub") == f"see [it]({on_the_site})."


def test_links_of_copied_pages_work_on_the_site():
    shown = rewrite("[app](docs/app.md#security), [code](hf_clcl)", ROOT / "SECURITY.md", "reference/security")
    assert shown == "[app](../app.md#security), [code](api/index.md)"
