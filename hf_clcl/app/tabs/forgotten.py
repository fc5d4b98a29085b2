"""Tab of forgotten and learnt test images."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import gradio as gr

from ...utils.errors import UserError
from ..views import changes as view
from ..views.html import empty
from ..workbench import Workbench
from . import choices
from .endpoints import MODELS, reporting

START = empty(
    "What did it forget?", "Choose a task and two states, then click Find. Both classify every test image.", "◫"
)
STOPPED = empty("Stopped", "The partial result is discarded. Click Find to start again.", "◫")
KINDS = [("forgotten: ✓ → ✗", "forgotten"), ("learnt: ✗ → ✓", "learnt")]
ANY = ""


class ForgottenTab:
    """Components and endpoints of the tab.

    Args:
        bench (`Workbench`): The backend.
        run (`gr.Dropdown`): The chosen run, whose tasks are tested.
    """

    def __init__(self, bench: Workbench, run: gr.Dropdown):
        self.bench, self.run = bench, run
        first = next(iter(bench.runs))
        tasks, states = choices.labelled(bench, first), choices.states(bench.runs)
        with gr.Row(elem_classes="choices-bar"):
            self.task = gr.Dropdown(tasks, value=tasks[0] if tasks else None, label="Test images of", min_width=150)
            self.a = gr.Dropdown(
                states, value=self.own_state(first.name, tasks[0] if tasks else ""), label="A: before", min_width=210
            )
            self.b = gr.Dropdown(states, value=choices.newest(first), label="B: after", min_width=210)
            self.kind = gr.Dropdown(KINDS, value="forgotten", label="Show", min_width=200)
            self.class_name = gr.Dropdown(
                [("all classes", ANY)], value=ANY, label="Class", allow_custom_value=True, min_width=150
            )
            with gr.Column(min_width=130, elem_classes="run-buttons"):
                self.go = gr.Button("Find", variant="primary")
                self.stop = gr.Button("Cancel", size="sm")
        self.view = gr.HTML(START, elem_id="forgotten")
        self.data, self.classes_data = gr.JSON(visible=False), gr.JSON(visible=False)

    def wire(self) -> None:
        """Connect components and endpoints."""
        inputs = [self.run, self.task, self.a, self.b, self.kind, self.class_name]
        find: dict[str, Any] = {
            "fn": self.find,
            "inputs": inputs,
            "outputs": [self.data, self.view],
            "show_progress": "hidden",
            **MODELS,
        }
        hidden: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        running: list[dict[str, Any]] = [
            self.go.click(**find, api_name="forgotten"),
            self.kind.input(**find, api_visibility="private"),
            self.class_name.input(**find, api_visibility="private"),
        ]
        self.stop.click(lambda: ({}, STOPPED), None, [self.data, self.view], cancels=running, **hidden)
        self.go.click(self.classes, [self.run, self.task], [self.classes_data, self.class_name],
                      api_name="classes", show_progress="hidden")  # fmt: skip
        self.task.input(
            lambda run, task: (self.own_state(run, task), gr.update(choices=[("all classes", ANY)], value=ANY)),
            [self.run, self.task], [self.a, self.class_name], **hidden,
        )  # fmt: skip

    def own_state(self, run: str, task: str) -> str:
        """Key of the checkpoint right after a task; zero-shot for a task that is not trained."""
        checkpoints = self.bench.runs[run].checkpoints()
        return next((state.key for state in checkpoints if state.task == task), f"{run}@0")

    @property
    def find(self) -> Any:
        """The endpoint `/forgotten`."""
        return reporting(self._find)

    def _find(
        self, run: str, task: str, a: str, b: str, kind: str, class_name: str | None
    ) -> Generator[tuple[float, str], None, tuple[Any, str]]:
        """The test images of a task that two states disagree on."""
        kind = kind if kind in ("forgotten", "learnt") else "forgotten"
        change = yield from self.bench.change(a, b, self.bench.runs[run], task)
        rows = change.rows(kind, class_name or None)
        names = change.names
        data = {
            "task": task, "kind": kind, "accuracy": list(change.accuracy()), "count": len(rows),
            "images": [
                {"row": int(row), "label": names[int(change.truth[row])], "before": names[int(change.before[row])],
                 "after": names[int(change.after[row])]} for row in rows
            ],
            "confusions": change.confusions(), "classes": change.classes(),
        }  # fmt: skip
        headings = choices.heading(self.bench.runs, a), choices.heading(self.bench.runs, b)
        return data, view.changes(change, kind, class_name or None, headings)

    def classes(self, run: str, task: str) -> tuple[Any, Any]:
        """The classes of a task."""
        try:
            names = self.bench.tests.task(self.bench.runs[run], task).class_names or []
        except UserError as error:
            return {"error": str(error)}, gr.skip()
        return names, gr.update(choices=[("all classes", ANY), *((name, name) for name in names)])
