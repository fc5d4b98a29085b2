"""Layout of the Gradio app: header, tabs, and updates while a run is training."""

from __future__ import annotations

from typing import Any

import gradio as gr

from . import theme
from .default import DefaultRun
from .tabs import choices
from .tabs.forgotten import ForgottenTab
from .tabs.matrix import MatrixTab
from .tabs.predictions import PredictionsTab
from .tabs.retrieval import RetrievalTab
from .tabs.run import RunTab
from .views.run import header, to_dict
from .workbench import Workbench

LOOK_SECONDS = 2.0
QUEUE = 64  # maximum number of waiting requests; more are refused
UPLOAD = "20mb"
UPLOAD_SECONDS = 3600  # uploaded files are deleted after this time
TITLE = "What did CLIP forget?"


def build(bench: Workbench) -> gr.Blocks:
    """Build the Gradio page of a workbench."""
    runs = bench.runs
    names = [(run.title, run.name) for run in runs]
    with gr.Blocks(
        title=TITLE, analytics_enabled=False, delete_cache=(UPLOAD_SECONDS, UPLOAD_SECONDS), fill_width=True
    ) as page:
        head = gr.HTML(_header(bench), elem_id="masthead")
        run = gr.Dropdown(
            names,
            value=names[0][1],
            label="Run",
            visible=len(names) > 1,
            elem_id="run-choice",
            elem_classes="run-choice",
        )
        with gr.Tabs(elem_id="tabs"):
            with gr.Tab("Predictions", id="predictions"):
                predictions = PredictionsTab(bench, run)
            with gr.Tab("Matrix", id="matrix") as matrix_tab:
                matrix = MatrixTab(bench)
            with gr.Tab("Forgotten", id="forgotten"):
                forgotten = ForgottenTab(bench, run)
            with gr.Tab("Retrieval", id="retrieval"):
                retrieval = RetrievalTab(bench, run)
            with gr.Tab("Run", id="run") as run_tab:
                about = RunTab(bench, run)
        predictions.wire()
        matrix.wire(matrix_tab)
        forgotten.wire()
        retrieval.wire()
        about.wire(run_tab)
        _follow(page, bench, head, run, predictions, matrix, forgotten, retrieval, about)

        def all_runs() -> list[dict]:
            """All runs of the page."""
            return [to_dict(each) for each in runs]

        gr.api(all_runs, api_name="runs")
    page.queue(max_size=QUEUE, default_concurrency_limit=8)
    return page


def _follow(
    page: gr.Blocks,
    bench: Workbench,
    head: gr.HTML,
    run: gr.Dropdown,
    predictions: PredictionsTab,
    matrix: MatrixTab,
    forgotten: ForgottenTab,
    retrieval: RetrievalTab,
    about: RunTab,
) -> None:
    """Register the events that update the page: page load, choice of a run, and a finished task of a running run."""
    hidden: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    seen, timer = gr.State(_stamp(bench)), gr.Timer(LOOK_SECONDS, active=bench.runs.live)
    examples: dict[str, Any] = {
        "fn": predictions.examples, "inputs": [run, predictions.task],
        "outputs": [predictions.rows, predictions.gallery],
    }  # fmt: skip
    tasks = [predictions.task, predictions.source, forgotten.task, retrieval.task]
    states = [predictions.a, predictions.b, forgotten.a, forgotten.b, retrieval.a, retrieval.b]

    def choose(name: str) -> list[Any]:
        chosen = bench.runs[name]
        every, labelled = bench.tests.names(chosen), choices.labelled(bench, chosen)
        searchable = choices.searchable(bench, chosen)
        first = labelled[0] if labelled else None
        ends = [f"{name}@0", choices.newest(chosen)]
        return [
            gr.update(choices=every, value=every[0]),
            gr.update(choices=choices.sources(bench, chosen)),
            gr.update(choices=labelled, value=first),
            gr.update(choices=searchable, value=searchable[0]),
            *ends, forgotten.own_state(name, first or ""), ends[1], *ends,
        ]  # fmt: skip

    def look(before: Any) -> tuple[Any, ...]:
        bench.runs.refresh()
        now = _stamp(bench)
        return now, gr.skip() if now == before else _header(bench), gr.Timer(active=bench.runs.live)

    def newest(name: str) -> list[Any]:
        return [choices.newest(bench.runs[name])] * 3

    chosen = run.change(choose, run, [*tasks, *states], **hidden)
    chosen.then(**examples, **hidden).then(about.show, run, about.outputs, **hidden)
    timer.tick(look, seen, [seen, head, timer], **hidden)
    news = seen.change(matrix.show, [matrix.runs, matrix.mode], [matrix.data, matrix.view], **hidden)
    news.then(about.show, run, about.outputs, **hidden)
    news.then(newest, run, [predictions.b, forgotten.b, retrieval.b], **hidden)
    loaded = page.load(lambda: _header(bench), None, head, **hidden)
    loaded.then(**examples, **hidden).then(lambda name: bench.warm_up(bench.runs[name]), run, None, **hidden)


def _header(bench: Workbench) -> str:
    failed = any(isinstance(run, DefaultRun) and run.failed for run in bench.runs)
    return header(list(bench.runs), failed)


def _stamp(bench: Workbench) -> list[Any]:
    """Values that change if there is something new to show."""
    return [[run.done, run.record.zero_shot is not None, run.live, len(run.record.losses)] for run in bench.runs]


def launch(page: gr.Blocks, **options: Any) -> str:
    """Serve the page and return its URL. `options` are those of `gr.Blocks.launch`."""
    _, url, _ = page.launch(
        theme=theme.theme(), css=theme.css(), head=theme.head(), footer_links=[], share=False, ssr_mode=False,
        max_file_size=UPLOAD, enable_monitoring=False, mcp_server=False, pwa=False, show_error=True, **options,
    )  # fmt: skip
    return url
