"""Tab of predictions for one image by every checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from ...utils.errors import UserError
from ..images import enlarged
from ..views import predictions as view
from ..views.html import empty
from ..workbench import ALL_TASKS, OWN, Workbench
from . import choices
from .endpoints import MODELS, answering
from .picture import checked, picture

if TYPE_CHECKING:
    from ..predictions import Comparison
    from ..runs import Checkpoint

START = empty("Choose an image", "Select an example on the left, or upload, paste or take a picture.", "◨")


class PredictionsTab:
    """Components and endpoints of the tab.

    Args:
        bench (`Workbench`): The backend.
        run (`gr.Dropdown`): The chosen run.
    """

    def __init__(self, bench: Workbench, run: gr.Dropdown):
        self.bench, self.run = bench, run
        first = next(iter(bench.runs))
        tasks, states = bench.tests.names(first), choices.states(bench.runs)
        with gr.Row(elem_classes="workspace"):
            with gr.Column(scale=1, min_width=290, elem_classes="controls"):
                self.image = picture(
                    label="Image", sources=["upload", "clipboard", "webcam"], format="png", height=230,
                    elem_id="picture", buttons=[],
                )  # fmt: skip
                self.task = gr.Dropdown(tasks, value=tasks[0], label="Examples from")
                self.gallery = gr.Gallery(
                    label="Examples", columns=4, height="auto", object_fit="cover",
                    allow_preview=False, show_label=False,
                    elem_id="examples", buttons=[],
                )  # fmt: skip
                self.source = gr.Dropdown(choices.sources(bench, first), value=ALL_TASKS, label="Labels from")
                self.own = gr.Textbox(
                    label="My own labels, one a line", lines=5, max_lines=10, visible=False, elem_id="own-labels",
                    placeholder="cat\ndog\na drawing of a heart",
                )  # fmt: skip
                self.truth = gr.Dropdown(
                    [""], value="", label="True label (optional)", allow_custom_value=True,
                    info="Needed to mark predictions as learnt or forgotten.",
                )  # fmt: skip
                self.template = gr.Textbox(
                    label="Prompt template", placeholder="the task's own", info="{} stands for the label.", max_lines=1
                )
                self.go = gr.Button("Compare", variant="primary")
            with gr.Column(scale=3, min_width=300):
                self.view = gr.HTML(START, elem_id="predictions")
                with gr.Accordion("Two states side by side", open=True, elem_id="side-by-side"):
                    with gr.Row():
                        self.a = gr.Dropdown(states, value=states[0][1], label="A")
                        self.b = gr.Dropdown(states, value=choices.newest(first), label="B")
                    self.pair = gr.HTML(elem_id="pair")
        self.data, self.pair_data, self.rows = gr.JSON(visible=False), gr.JSON(visible=False), gr.JSON(visible=False)

    def wire(self) -> None:
        """Connect components and endpoints."""
        inputs = [self.image, self.run, self.source, self.own, self.template, self.truth]
        predict: dict[str, Any] = {"fn": self.predict, "inputs": inputs, "outputs": [self.data, self.view], **MODELS}
        side: dict[str, Any] = {
            "fn": self.side_by_side, "inputs": [*inputs[:1], self.a, self.b, *inputs[1:]],
            "outputs": [self.pair_data, self.pair], **MODELS,
        }  # fmt: skip
        hidden: dict[str, Any] = {"api_visibility": "private"}
        # Named endpoints come first: Gradio gives a name to the first event that asks for it.
        predicted = self.go.click(**predict, api_name="predict")
        self.b.input(**side, api_name="side_by_side")
        predicted.then(**side, **hidden)
        self.image.input(**predict, **hidden).then(**side, **hidden)
        self.template.submit(**predict, **hidden).then(**side, **hidden)
        self.a.input(**side, **hidden)
        self.truth.input(**predict, **hidden)
        self.gallery.select(self._pick, [self.run, self.task, self.rows], [self.image, self.source, self.truth],
                            **hidden).then(**predict, **hidden).then(**side, **hidden)  # fmt: skip
        self.task.input(self.examples, [self.run, self.task], [self.rows, self.gallery], api_name="examples")
        self.source.input(
            lambda source: gr.update(visible=source == OWN), self.source, self.own, show_progress="hidden", **hidden
        )
        self.source.change(
            self._truths, [self.run, self.source, self.truth], self.truth, show_progress="hidden", **hidden
        )

    @answering
    def predict(
        self, image: Any, run: str, source: str, own: str, template: str, truth: str | None
    ) -> tuple[Any, ...]:
        """Classify an image with every checkpoint of a run."""
        states = self.bench.runs[run].checkpoints()
        comparison = self._compare(states, image, run, source, own, template, truth)
        return comparison.to_dict(), view.predictions(comparison)

    @answering
    def side_by_side(
        self, image: Any, a: str, b: str, run: str, source: str, own: str, template: str, truth: str | None
    ) -> tuple[Any, ...]:
        """Classify an image with two checkpoints of one or two runs."""
        if image is None:
            return {}, ""
        runs = self.bench.runs
        comparison = self._compare([runs.checkpoint(a), runs.checkpoint(b)], image, run, source, own, template, truth)
        headings = f"A: {choices.heading(runs, a)}", f"B: {choices.heading(runs, b)}"
        return comparison.to_dict(), view.side_by_side(comparison, headings)

    def _compare(
        self, states: list[Checkpoint], image: Any, run: str, source: str, own: str, template: str, truth: str | None
    ) -> Comparison:
        picture = checked(image)
        labels = self.bench.labels(self.bench.runs[run], source, own, template)
        if truth and truth not in labels.names:
            raise UserError(f"the true label must be one of the labels or empty, got {truth[:80]!r}")
        return self.bench.compare(states, picture, labels, truth or None)

    def examples(self, run: str, task: str) -> tuple[Any, Any]:
        """Some test images of a task."""
        try:
            examples = self.bench.examples(self.bench.runs[run], task)
        except UserError as error:
            return {"error": str(error)}, gr.update(value=[], label=str(error)[:120])
        rows = [{"row": row, "label": label} for row, _, label in examples]
        return rows, [(enlarged(image), label or "") for _, image, label in examples]

    def _pick(self, event: gr.SelectData, run: str, task: str, rows: list[dict[str, Any]]) -> tuple[Any, Any, Any]:
        row = rows[int(event.index)]["row"]
        image, label = self.bench.example(self.bench.runs[run], task, row)
        return image.convert("RGB"), gr.skip() if label is None else task, label or ""

    def _truths(self, run: str, source: str, truth: str | None) -> Any:
        """Choices for the true label."""
        if source == OWN:
            return gr.update(choices=[""])
        try:
            names = self.bench.labels(self.bench.runs[run], source).names
        except UserError:
            return gr.update(choices=[""])
        return gr.update(choices=["", *names], value=truth if truth in names else "")
