"""HTML of one run: status, facts, hyper-parameters and losses."""

from __future__ import annotations

from typing import Any

from ...record.expectations import compare_with_published
from ...reports.published import difference_lines, metric_name
from ..runs import Run
from .html import empty, joined, section, text
from .lines import Line, line_chart

# Nested keys, and values that belong to the machine of the run.
_LEFT_OUT = {
    "tasks", "evaluation_only", "methods", "reference_images", "reference_texts", "peft", "model_name_or_path",
    "method", "output_dir", "data_root", "disable_tqdm", "expect_results",
}  # fmt: skip
_NOT_LOSSES = ("task", "step", "grad_norm", "learning_rate")
MOST_POINTS = 240


def header(runs: list[Run], failed: bool = False) -> str:
    """Header of the page: its title and the status of each run."""
    pills = joined(_pill(run, failed) for run in runs)
    return (
        '<div class="masthead"><div class="brand"><span class="logo" aria-hidden="true"><i></i><i></i><i></i><i></i>'
        "</span><div><h1>What did CLIP forget?</h1><p>Predictions and accuracy after each task of a stream.</p>"
        f'</div></div><ul class="pills">{pills}</ul></div>'
    )


def _pill(run: Run, failed: bool) -> str:
    total = len(run.record.tasks)
    if not run.live:
        state, words = "finished", f"{total} tasks"
    elif failed:
        state, words = "failed", "training failed; see the terminal"
    elif run.done < total:
        state, words = "live", f"training {run.record.tasks[run.done]} · {run.done} of {total}"
    else:
        state, words = "live", "finishing"
    bar = f'<span class="bar"><i style="width:{100 * run.done / total:.0f}%"></i></span>' if run.live else ""
    return (
        f'<li class="{state}"><i class="lamp" aria-hidden="true"></i><b>{text(run.title)}</b>'
        f"<span>{text(words)}</span>{bar}</li>"
    )


def overview(run: Run) -> str:
    """Facts, hyper-parameters and losses of a run."""
    record = run.record
    facts = {
        "Method": record.method,
        "Base model": record.model,
        "Tasks": f"{run.done} of {len(record.tasks)} finished",
        "Seed": record.seed,
        "Started": (record.created or "")[:16].replace("T", " "),
        "Device": record.device,
        "Trainable parameters": _count(record.trainable_parameters),
        "Parameters": _count(record.total_parameters),
    }
    values = {key: value for key, value in record.recipe.items() if key not in _LEFT_OUT}
    options = record.recipe.get("methods", {}).get(record.method, {})
    values |= {f"{record.method}.{key}": value for key, value in options.items()}
    return (
        f'<div class="two">{section("The run", _list(facts))}{section("Hyper-parameters", _list(values))}</div>'
        + published(run)
        + section("Losses", losses(run), "As logged, task after task. Each loss has its own scale.")
    )


def published(run: Run) -> str:
    """Published results of the recipe, beside those of the run if both are comparable."""
    shown = ""
    for found in compare_with_published(run.record):
        lines = difference_lines(found)
        values = {
            metric_name(key): f"{ours:.1f}, published {wanted:.1f}"
            for key, (wanted, ours) in found.values.items()
            if ours is not None and not lines
        }
        shown += f"<p>{text(found.source)} ({text(found.grade)})</p>" + (_list(values) if values else "")
        shown += "<p>Not comparable. This run differs in:</p>" if lines else "<p>These differences remain:</p>"
        shown += f"<ul>{joined(f'<li>{text(line)}</li>' for line in lines or found.caveats)}</ul>"
    return section("Published results", shown) if shown else ""


def losses(run: Run) -> str:
    """Losses over all steps of the stream, one chart for each loss."""
    logged = run.record.losses
    if not logged:
        return empty("No losses yet", "They appear after the first task.", "∿")
    names = list(dict.fromkeys(key for entry in logged for key in entry if key not in _NOT_LOSSES))
    every = -(-len(logged) // MOST_POINTS)
    points: list[dict[str, Any]] = [dict(entry) for entry in logged[::every]]
    ticks = [(str(entry["step"]), entry["task"]) for entry in points]
    begins = {i: "own" for i, p in enumerate(points) if i and p["task"] != points[i - 1]["task"]}
    charts = []
    for place, name in enumerate(names):
        values = [entry.get(name) for entry in points]
        measured = [value for value in values if value is not None]
        if not measured:
            continue
        chart = line_chart(
            [Line(name, values, place)], ticks, top=max(measured) * 1.05 or 1, low=min(0.0, min(measured)), unit="",
            digits=4, marks=begins, legend=False, small=True, label=f"{name} over steps", dots=False,
        )  # fmt: skip
        charts.append(f'<div class="small-multiple"><h4>{text(name.replace("_", " "))}</h4>{chart}</div>')
    tasks = " · ".join(dict.fromkeys(entry["task"] for entry in points))
    return (
        f'<div class="multiples losses">{joined(charts)}</div>'
        f'<p class="muted">Vertical lines: the next task. {text(tasks)}</p>'
    )


def _list(values: dict[str, Any]) -> str:
    rows = joined(
        f"<div><dt>{text(key)}</dt><dd>{text(value)}</dd></div>"
        for key, value in values.items()
        if value not in (None, "")
    )
    return f'<dl class="facts-list">{rows}</dl>' if rows else "<p>All values are defaults.</p>"


def _count(number: int | None) -> str | None:
    return None if number is None else f"{number:,}"


def to_dict(run: Run) -> dict[str, Any]:
    """Status and record of a run as JSON values."""
    record = run.record
    return {
        "run": run.name, "method": record.method, "model": record.model, "tasks": record.tasks, "done": run.done,
        "finished": record.finished, "metrics": record.metrics, "recipe": record.recipe,
        "states": [checkpoint.key for checkpoint in run.checkpoints()],
    }  # fmt: skip
