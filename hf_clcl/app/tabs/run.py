"""Tab of one run: recipe, losses and model card."""

from __future__ import annotations

import re
from typing import Any

import gradio as gr
import yaml

from ..runs import Run
from ..views import run as view
from ..workbench import Workbench
from .endpoints import answering

_FRONT = re.compile(r"\A---\n.*?\n---\n", re.S)
_IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)")


class RunTab:
    """Components and endpoints of the tab.

    Args:
        bench (`Workbench`): The backend.
        run (`gr.Dropdown`): The chosen run.
    """

    def __init__(self, bench: Workbench, run: gr.Dropdown):
        self.bench, self.run = bench, run
        first = next(iter(bench.runs))
        self.view = gr.HTML(view.overview(first), elem_id="run")
        with gr.Accordion("Recipe", open=False):
            self.recipe = gr.Code(
                recipe_text(first), language="yaml", interactive=False, show_label=False, max_lines=40
            )
        with gr.Accordion("Model card", open=True, elem_id="card"):
            self.card = gr.Markdown("", elem_classes="model-card")
        self.data, self.name = gr.JSON(visible=False), gr.Textbox(visible=False)

    @property
    def outputs(self) -> list[Any]:
        """The components that the endpoint updates."""
        return [self.data, self.view, self.recipe, self.card]

    def wire(self, tab: gr.Tab) -> None:
        """Connect components and endpoints."""
        tab.select(self.show, self.run, self.outputs, api_name="run", show_progress="hidden")

    def show(self, name: str) -> tuple[Any, ...]:
        """Facts, recipe and card of a run."""
        data, html = self._overview(name)
        if "error" in data:
            return data, html, "", ""
        run = self.bench.runs[name]
        return data, html, recipe_text(run), card_text(run)

    @property
    def _overview(self) -> Any:
        return answering(lambda name: (view.to_dict(self.bench.runs[name]), view.overview(self.bench.runs[name])))


def recipe_text(run: Run) -> str:
    """The recipe as YAML."""
    return yaml.safe_dump(run.record.recipe, sort_keys=False, allow_unicode=True) if run.record.recipe else ""


def card_text(run: Run) -> str:
    """The model card as Markdown, without front matter and plots."""
    if run.pending:
        return "The card is written after the evaluation of the untrained model."
    from ...reports.cards import write_card

    return _IMAGE.sub("", _FRONT.sub("", write_card(run.record)))
