"""Model cards, written from the record of a run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path, PurePath

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from ...metrics.accuracy_matrix import ALL_METRICS
from ...metrics.ranks import MEASURES
from ...metrics.scenarios import SCENARIOS
from ...record.run_record import RunRecord
from ...utils.files import whole_file
from ..figures import plot_curves, plot_matrix
from . import searches, sections
from .changes import changes
from .published import published_section
from .usage import usage

TEMPLATE = Path(__file__).with_name("card.md")
PIPELINE, RETRIEVAL = "zero-shot-image-classification", "image-text-retrieval"


def write_card(record: RunRecord, task: str | None = None) -> str:
    """Write the model card of a stream, or of its state after one task.

    Args:
        record (`RunRecord`): The run, finished or not.
        task (`str`, *optional*): Describe the state after this task instead of the newest one.

    Returns:
        `str`: The card: front matter and Markdown. It shows `matrix.png` and `curves.png` of the same folder.
    """
    record = record if task is None else record.until(task)
    card = ModelCard.from_template(
        card_metadata(record),
        template_path=str(TEMPLATE),
        title=sections.text(_model_name(record)),
        summary=sections.summary(record),
        status=sections.status(record, of_task=task is not None),
        usage=usage(record),
        matrix=sections.matrix(record),
        classes_grow=SCENARIOS[record.scenario].classes_grow,
        others=sections.other_scenarios(record),
        measured=record.shown_measure[0].upper() + record.shown_measure[1:],
        measure=searches.measure(record),
        outside=record.evaluation_only,
        metrics=sections.metrics(record),
        published=published_section(record),
        retrieval=searches.retrieval(record),
        videos=searches.videos(record),
        changes=changes(record),
        training=sections.training(record),
        data=sections.data(record),
        cost=sections.cost(record),
        limits=sections.limits(record),
        reproduce=sections.reproduce(record),
        citations=sections.citations(record),
    )
    return str(card).rstrip() + "\n"


def save_card(record: RunRecord, folder: str | Path, task: str | None = None) -> list[Path]:
    """Write `README.md` and its plots to a folder.

    Args:
        record (`RunRecord`): The run, finished or not.
        folder (`str` or `Path`): Output folder; created if it does not exist.
        task (`str`, *optional*): Describe the state after this task instead of the newest one.

    Returns:
        `list[Path]`: The written files.
    """
    card, shown = write_card(record, task), record if task is None else record.until(task)
    plots = [*plot_matrix(shown, folder), *plot_curves(shown, folder)]
    with whole_file(Path(folder, "README.md")) as file:
        file.write_text(card, encoding="utf-8")
    return [Path(folder, "README.md"), *plots]


def card_metadata(record: RunRecord) -> ModelCardData:
    """The front matter for the Hub: tags, base model, datasets and results."""
    sources = {note["task"]: note["dataset"] for note in record.datasets}
    trained = [sources[task] for task in record.tasks[: len(record.accuracy)] if task in sources]
    results = _results(record, sources)
    return ModelCardData(
        model_name=_line(_model_name(record)) if results else None,
        library_name="transformers",
        pipeline_tag=PIPELINE,
        license=_line(record.licence) if record.licence is not None else None,
        base_model=record.model if sections.looks_like_hub_id(record.model) else None,
        datasets=list(dict.fromkeys(name for name in trained if sections.looks_like_hub_id(name))) or None,
        tags=["clip", "continual-learning", "hf_clcl", _line(record.method)],
        eval_results=results or None,
    )


def _results(record: RunRecord, sources: dict[str, str]) -> list[EvalResult]:
    """Current result on each dataset, and one result for each metric of the stream."""
    now = record.accuracy[-1] if record.accuracy else record.zero_shot or [None] * len(record.tasks)
    values = dict(zip(record.tasks, now, strict=True))
    for name, column in record.evaluation_only.items():
        values[name] = column["accuracy"][-1] if column["accuracy"] else column["zero_shot"]
    values = {name: value for name, value in values.items() if name not in record.retrieval}
    stream = f"stream of {len(record.tasks)} tasks: {', '.join(record.tasks)}"
    accuracies = [(sources.get(n, n), n, "accuracy", "Accuracy (%)", v) for n, v in values.items() if v is not None]
    retrieval = _retrieval_results(record, sources)
    of_stream = [("stream", stream, key, f"{ALL_METRICS[key][0]} (%)", value) for key, value in record.metrics.items()]
    if record.measure == "accuracy":
        accuracies += of_stream
    else:
        retrieval += of_stream
    shared = Counter(sources.values())  # results on parts of one dataset differ only in the configuration
    tasks = ((PIPELINE, "Zero-shot image classification", accuracies), (RETRIEVAL, "Image-text retrieval", retrieval))
    return [
        EvalResult(
            dataset_type=_line(kind), dataset_name=_line(dataset),
            dataset_config=_line(dataset) if shared[kind] > 1 else None, task_type=task, task_name=name,
            metric_type=metric, metric_name=words, metric_value=round(float(value), 2),
        )
        for task, name, results in tasks
        for kind, dataset, metric, words, value in results
    ]  # fmt: skip


def _line(name: str) -> str:
    """A name in one line, since a line break could end the front matter."""
    return " ".join(name.split())


def _retrieval_results(record: RunRecord, sources: dict[str, str]) -> list[tuple[str, str, str, str, float]]:
    """Current recall on each dataset of captions."""
    results = []
    for name, entry in record.retrieval.items():
        now = entry["after"][-1] if entry["after"] else entry["zero_shot"]
        for key, value in (now or {}).items():
            direction, _, measure = key.rpartition("_")
            if measure in MEASURES:
                words = f"{MEASURES[measure]}, {direction.replace('_', ' ')} (%)"
                results.append((sources.get(name, name), name, key, words, value))
    return results


def _model_name(record: RunRecord) -> str:
    named = record.recipe.get("hub_model_id")
    return (
        PurePath(named).name if isinstance(named, str) and named else f"{PurePath(record.model).name}-{record.method}"
    )
