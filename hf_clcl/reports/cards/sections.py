"""Sections of a model card, as pure functions of the record. Sections without data are empty."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import yaml
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from ... import __version__
from ...config.entries import TaskEntry
from ...metrics.scenarios import SCENARIOS
from ...record.run_record import RunRecord
from ...utils.names import ZERO_SHOT, task_folder
from ..terminal import TOLERANCE, metric_words, number
from .markdown import block, code, listed, table, text

# Recipe keys that are not hyper-parameters; the card has them elsewhere.
_NOT_TRAINING = {
    "model_name_or_path", "method", "methods", "tasks", "evaluation_only", "reference_images", "reference_texts",
    "data_root", "output_dir", "seed", "report_to", "run_name", "project", "push_to_hub", "disable_tqdm",
    "resume_from_hub", "logging_steps", "logging_strategy", "logging_first_step", "save_steps", "save_strategy",
    "save_total_limit", "expect_results",
}  # fmt: skip
_SECRET = re.compile(r"(token|password|secret|api_key)$", re.IGNORECASE)
_SECRET_OPTION = re.compile(r"(--\S*(?:token|password|secret|api_key)[ =])\S+", re.IGNORECASE)
_FOLDERS = {"data", "datasets", "models", "checkpoints", "outputs", "out", "runs", "shared", "tmp"}

SOFTWARE_CITATION = """\
@software{{hf_clcl,
  title   = {{hf_clcl: continual learning of CLIP on the Hugging Face stack}},
  author  = {{{{The hf_clcl authors}}}},
  version = {{{version}}},
  url     = {{https://github.com/hf-clcl/hf_clcl}}
}}"""


def looks_like_hub_id(name: str) -> bool:
    """Whether a name is a Hub repository id and does not look like a folder."""
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return name.count("/") == 1 and name.split("/")[0] not in _FOLDERS and not PurePath(name).suffix == ".parquet"


def folder_name(record: RunRecord) -> str:
    """Folder and revision name of the last finished task."""
    count = len(record.accuracy)
    return task_folder(count - 1, record.tasks[count - 1]) if count else ZERO_SHOT


def status(record: RunRecord, of_task: bool) -> str:
    """Note for the state after one task, or for an unfinished run."""
    count, total = len(record.accuracy), len(record.tasks)
    if of_task:
        return f"The state after task {count} of {total}, {text(record.tasks[count - 1])}."
    if count < total:
        return f"**Unfinished**: {count} of {total} tasks are trained. Metrics that need the rest are left out."
    return ""


def summary(record: RunRecord) -> str:
    """Base model, tasks and method in one or two sentences."""
    model = f"[{text(record.model)}](https://huggingface.co/{record.model})"
    model = model if looks_like_hub_id(record.model) else code(PurePath(record.model).name or record.model)
    count = len(record.accuracy)
    done, rest = (listed([text(task) for task in part]) for part in (record.tasks[:count], record.tasks[count:]))
    if record.trainable_parameters == 0:
        return f"{model}, a CLIP model without training, evaluated on {listed([text(t) for t in record.tasks])}."
    if not done:
        return f"{model}, a CLIP model, before it is trained on {rest}."
    return (
        f"{model}, a CLIP model, trained on {done}{', one after another,' if count > 1 else ''} with the "
        f"continual-learning method {code(record.method)}. It classifies images zero-shot, among names given as text."
    )


def matrix(record: RunRecord) -> str:
    """The accuracy matrix."""
    outside = record.evaluation_only
    rows = [record.zero_shot or [], *record.accuracy, *(entry["accuracy"] for entry in outside.values())]
    if all(value is None for row in rows for value in [*row]) and not any(e["zero_shot"] for e in outside.values()):
        return ""
    head = ["after", *map(text, record.tasks), *(f"*{text(name)}*" for name in outside)]
    untrained = record.untrained(0)
    lines = [["zero-shot", *map(percent, [*untrained, *(column["zero_shot"] for column in outside.values())])]]
    for j, row in enumerate(record.accuracy):
        cells = [percent(value) for value in [*row, *(column["accuracy"][j] for column in outside.values())]]
        cells[j] = f"**{cells[j]}**" if row[j] is not None else cells[j]
        lines.append([f"{j + 1} {text(record.tasks[j])}", *cells])
    return table(head, lines)


def among(record: RunRecord) -> str:
    """Explain which classes images are classified among."""
    scenario = SCENARIOS[record.scenario]
    if scenario.task_is_known:
        return "Zero-shot accuracy in percent, each dataset among its own classes."
    line = f"Zero-shot accuracy in percent, {scenario.words} ({code(scenario.name)})"
    return f"{line}; the zero-shot row among those of all tasks." if record.baseline else f"{line}."


def other_scenarios(record: RunRecord) -> str:
    """Matrix and metrics of each further scenario."""
    parts = []
    for name in record.scenarios:
        view = record.of(name)
        if matrix(view):
            shown = "\n\n".join(filter(None, [metrics(view), matrix(view)]))
            parts.append(f"The same model, {SCENARIOS[name].words} ({code(name)}):\n\n{shown}")
    return "\n\n".join(parts)


def metrics(record: RunRecord) -> str:
    """The metrics with their meaning."""
    rows = []
    for key, value in record.metrics.items():
        name, meaning = metric_words(record, key)
        rows.append([name, number(value, 2), meaning])
    return table(["metric", "%", "meaning"], rows, words=(0, 2)) if rows else ""


def training(record: RunRecord) -> str:
    """Method, reference data and hyper-parameters."""
    rows = [[code(key), code(_plain(value))] for key, value in hyper_parameters(record).items()]
    parts = [f"Method {code(record.method)}" + (f", seed {record.seed}." if record.seed is not None else ".")]
    for key, words in (("reference_images", "Reference images"), ("reference_texts", "Reference texts")):
        entry = record.recipe.get(key)
        if isinstance(entry, Mapping) and entry.get("dataset"):
            take = f", at most {entry['take']:,}" if isinstance(entry.get("take"), int) else ""
            parts.append(f"{words}: {code(entry['dataset'])}{take}.")
    if record.trainable_parameters is not None and record.total_parameters:
        parts.append(f"{record.trainable_parameters:,} of {record.total_parameters:,} parameters are trainable.")
    heading = "Values set by the recipe; all others are defaults:\n\n"
    return " ".join(parts) + (f"\n\n{heading}{table(['value', 'set to'], rows, words=(0, 1))}" if rows else "")


def hyper_parameters(record: RunRecord) -> dict[str, Any]:
    """Values set by the recipe: training arguments, options of the method, then values of single tasks."""
    recipe = record.recipe
    chosen = {
        k: v
        for k, v in recipe.items()
        if k not in _NOT_TRAINING and not k.startswith("hub_") and not _SECRET.search(k)
    }
    options = recipe.get("methods", {}).get(recipe.get("method", record.method), {})
    chosen |= {f"methods.{record.method}.{key}": value for key, value in options.items()}
    of_data = {f.name for f in dataclasses.fields(TaskEntry)}
    for task in recipe.get("tasks", []):
        chosen |= {f"{task.get('name')}: {key}": value for key, value in task.items() if key not in of_data}
    return chosen


def data(record: RunRecord) -> str:
    """Datasets with licence, split and size."""
    rows = []
    heads = "classes" if all(note["classes"] is not None for note in record.datasets) else "content"
    for note in record.datasets:
        name = note["dataset"]
        name = f"[{text(name)}](https://huggingface.co/datasets/{name})" if looks_like_hub_id(name) else code(name)
        trained = f"{note['train']:,}" if note["train"] is not None else "never"
        remarks = text(note.get("split_note") or "")
        rows.append([
            text(note["task"]), name, text(note.get("licence") or "not recorded"), remarks,
            _content(note), trained, f"{note['test']:,}" if note["test"] is not None else "never",
        ])  # fmt: skip
    head = ["task", "dataset", "licence", "split", heads, "train", "test"]
    if not any(row[3] for row in rows):
        head, rows = head[:3] + head[4:], [row[:3] + row[4:] for row in rows]
    return table(head, rows, words=range(head.index(heads))) if rows else ""


def _content(note: Mapping[str, Any]) -> str:
    """Number of classes of a dataset, or of captions."""
    return f"{note['classes']:,}" if note["classes"] is not None else f"{note.get('captions') or 0:,} captions"


def cost(record: RunRecord) -> str:
    """Hardware, seconds and peak memory."""
    kinds = list(dict.fromkeys(phase["phase"] for phase in record.phases))
    rows = []
    for kind in [*kinds, None]:
        part = dataclasses.replace(record, phases=[p for p in record.phases if kind in (None, p["phase"])])
        peak = f"{part.peak_memory_mb:,.0f}" if part.peak_memory_mb is not None else "–"
        if part.seconds is not None:
            rows.append([text(kind) if kind else "all", f"{part.seconds:,.1f}", peak])
    parts = [f"Hardware: {text(record.device)}." if record.device else ""]
    parts.append(table(["phase", "seconds", "peak memory (MB)"], rows) if rows else "")
    return "\n\n".join(filter(None, parts))


def limits(record: RunRecord) -> str:
    """Limitations of the results and of the model."""
    names = [text(name) for name in (*record.tasks, *record.evaluation_only)]
    unlicensed = [text(note["task"]) for note in record.datasets if not note.get("licence")]
    lost = record.metrics.get("forgetting", 0.0)
    skipped = [f"{count} of {text(task)}" for task, count in record.skipped_steps.items()]
    lines = [
        f"Measured on {listed(names)} only; losses on other data are unknown." if matrix(record) else "",
        SCENARIOS[record.scenario].at_test
        if any(name not in record.retrieval for name in (*record.tasks, *record.evaluation_only))
        else "",
        "Retrieval searches the test split of one dataset, far fewer items than a real collection has."
        if record.retrieval
        else "",
        f"One run{f' with seed {record.seed}' if record.seed is not None else ''}: deviation over seeds is unknown.",
        f"On average, {number(lost, 2)} points were lost on earlier tasks since their best."
        if lost >= TOLERANCE
        else "",
        f"Steps skipped because a loss or gradient was not finite: {listed(skipped)}." if skipped else "",
        f"Training changed no weight in {listed([text(task) for task in record.unchanged])}."
        if record.unchanged
        else "",
        f"Licences are not recorded for {listed(unlicensed)}: look them up before use." if unlicensed else "",
        "Like any CLIP, it has the biases of its training images and texts, and other words for class names give "
        "other results. Not intended for decisions about people.",
    ]
    return "\n".join(f"- {line}" for line in lines if line)


def reproduce(record: RunRecord) -> str:
    """Command, versions and resolved recipe."""
    parts = [block(_SECRET_OPTION.sub(r"\1***", record.command), "bash")] if record.command else []
    if record.versions:
        parts.append("Made with " + ", ".join(f"{text(k)} {text(v)}" for k, v in record.versions.items()) + ".")
    if record.recipe:
        values = {key: value for key, value in record.recipe.items() if key != "expect_results"}
        recipe = yaml.safe_dump(_without_secrets(values), sort_keys=False, allow_unicode=True, width=100)
        parts.append(f"<details><summary>The recipe as resolved</summary>\n\n{block(recipe, 'yaml')}\n\n</details>")
    return "\n\n".join(parts)


def citations(record: RunRecord) -> str:
    """BibTeX entries of the method and of this software."""
    version = record.versions.get("hf_clcl") or record.versions.get("hf-clcl") or __version__
    return block("\n\n".join([*record.citations, SOFTWARE_CITATION.format(version=version)]), "bibtex")


def percent(value: float | None) -> str:
    """Format a value with one decimal; `–` for `None`."""
    return "–" if value is None else number(value)


def _plain(value: Any) -> Any:
    """Write a whole number without decimals: 10 instead of 10.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_secrets(entry) for key, entry in value.items() if not _SECRET.search(str(key))}
    return [_without_secrets(entry) for entry in value] if isinstance(value, list) else value
