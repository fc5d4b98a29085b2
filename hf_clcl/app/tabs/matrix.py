"""Tab of results: metrics, accuracy matrices, curves, cost and downloads."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ..export import FORMATS, export
from ..views import heatmap
from ..views import matrix as view
from ..workbench import Workbench
from .endpoints import answering

MOST_SHOWN = 4


class MatrixTab:
    """Components and endpoints of the tab.

    Args:
        bench (`Workbench`): The backend.
    """

    def __init__(self, bench: Workbench):
        self.bench = bench
        names = [(run.title, run.name) for run in bench.runs]
        modes = [(words, key) for key, words in heatmap.MODES.items()]
        with gr.Row(elem_classes="choices-bar"):
            self.runs = gr.Dropdown(
                names, value=[name for _, name in names[:MOST_SHOWN]], multiselect=True, label="Runs", scale=3,
                visible=len(names) > 1, min_width=260,
            )  # fmt: skip
            self.mode = gr.Radio(modes, value="accuracy", label="Cells show", scale=4, min_width=280)
            with gr.Row(elem_classes="downloads"):
                self.files = {
                    kind: gr.DownloadButton(
                        f"↓ {kind.upper()}", size="sm", min_width=70, elem_id=f"download-{kind}", interactive=False
                    )
                    for kind in FORMATS
                }
        self.view = gr.HTML(view.matrix(self._chosen(self.runs.value)), elem_id="matrix")
        self.data, self.file, self.kind = gr.JSON(visible=False), gr.File(visible=False), gr.Textbox(visible=False)

    def wire(self, tab: gr.Tab) -> None:
        """Connect components and endpoints."""
        show: dict[str, Any] = {"fn": self.show, "inputs": [self.runs, self.mode], "outputs": [self.data, self.view]}
        hidden: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        self.mode.input(**show, api_name="matrix", show_progress="hidden")
        files: dict[str, Any] = {"fn": self._files, "inputs": self.runs, "outputs": list(self.files.values())}
        self.runs.input(**show, **hidden).then(**files, **hidden)
        tab.select(**files, **hidden)
        self.kind.submit(self.export, [self.runs, self.kind], self.file, api_name="export")

    @answering
    def show(self, names: list[str], mode: str) -> tuple[Any, ...]:
        """Metrics, matrices and curves of some runs."""
        runs = self._chosen(names)
        mode = mode if mode in heatmap.MODES else "accuracy"
        data = {"metrics": {run.name: run.record.metrics for run in runs}, "cells": view.numbers(runs)}
        return data, view.matrix(runs, mode)

    def export(self, names: list[str], kind: str) -> str:
        """The numbers of some runs as a file: csv, png or json."""
        return str(export(self._chosen(names), kind))

    def _files(self, names: list[str]) -> list[Any]:
        if not names:
            return [gr.update(value=None, interactive=False)] * len(FORMATS)
        return [gr.update(value=self.export(names, kind), interactive=True) for kind in FORMATS]

    def _chosen(self, names: list[str] | None) -> list[Any]:
        return [self.bench.runs[name] for name in names or []]
