"""Tab of text-to-image search, before and after training."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import gradio as gr

from ..views import changes as view
from ..views.html import empty
from ..workbench import Workbench
from . import choices
from .endpoints import MODELS, reporting

START = empty("Search for an image", "Type a description. Two states search the same test images.", "⌕")
STOPPED = empty("Stopped", "Click Search to start again.", "⌕")


class RetrievalTab:
    """Components and endpoints of the tab.

    Args:
        bench (`Workbench`): The backend.
        run (`gr.Dropdown`): The chosen run, whose test images are searched.
    """

    def __init__(self, bench: Workbench, run: gr.Dropdown):
        self.bench, self.run = bench, run
        first = next(iter(bench.runs))
        tasks, states = choices.searchable(bench, first), choices.states(bench.runs)
        with gr.Row(elem_classes="choices-bar"):
            self.text = gr.Textbox(
                label="Text", placeholder="a dog that runs on grass", scale=3, min_width=280, max_lines=1
            )
            self.task = gr.Dropdown(tasks, value=tasks[0], label="Test images of", min_width=150)
            self.a = gr.Dropdown(states, value=states[0][1], label="A: before", min_width=210)
            self.b = gr.Dropdown(states, value=choices.newest(first), label="B: after", min_width=210)
            with gr.Column(min_width=130, elem_classes="run-buttons"):
                self.go = gr.Button("Search", variant="primary")
                self.stop = gr.Button("Cancel", size="sm")
        self.view = gr.HTML(START, elem_id="retrieval")
        self.data = gr.JSON(visible=False)

    def wire(self) -> None:
        """Connect components and endpoints."""
        inputs = [self.run, self.task, self.a, self.b, self.text]
        search: dict[str, Any] = {
            "fn": self.search,
            "inputs": inputs,
            "outputs": [self.data, self.view],
            "show_progress": "hidden",
            **MODELS,
        }
        running: list[dict[str, Any]] = [
            self.go.click(**search, api_name="search"),
            self.text.submit(**search, api_visibility="private"),
        ]
        self.stop.click(
            lambda: ({}, STOPPED), None, [self.data, self.view], cancels=running, show_progress="hidden",
            api_visibility="private",
        )  # fmt: skip

    @property
    def search(self) -> Any:
        """The endpoint `/search`."""
        return reporting(self._search)

    def _search(
        self, run_name: str, task: str, a: str, b: str, text: str
    ) -> Generator[tuple[float, str], None, tuple[Any, str]]:
        """The best test images for a text by two checkpoints."""
        run = self.bench.runs[run_name]
        results = yield from self.bench.search(a, b, run, task, text)
        pictures = [self.bench.pictures(run, task, each.rows) for each in results]
        data = {
            sign: [
                {"row": row, "similarity": round(similarity, 6), "rank_in_other": other, "caption": caption}
                for row, similarity, other, (_, caption) in zip(
                    each.rows, each.similarities, each.other_ranks, own, strict=True
                )
            ]
            for sign, each, own in zip("ab", results, pictures, strict=True)
        }
        headings = choices.heading(self.bench.runs, a), choices.heading(self.bench.runs, b)
        return data, view.retrieved(results, pictures, headings, " ".join(text.split()))
