"""HTML of results: metrics, accuracy matrices, curves, time and memory of one or several runs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ...metrics.accuracy_matrix import ALL_METRICS
from ...metrics.ranks import RECALL_AT
from ...record.repetitions import repetitions
from ...record.run_record import RunRecord
from ..runs import Run
from .heatmap import best_before, heatmap, table, untrained
from .html import empty, joined, section, signed, swatch, text
from .lines import Line, line_chart

TILES = ("transfer", "average", "last", "forgetting")
INCREMENTAL = ("incremental_average", "incremental_last")
LOW_IS_GOOD = ("forgetting", "zero_shot_degradation")


@dataclass
class Group:
    """Runs of one recipe over seeds."""

    title: str
    runs: list[Run]
    place: int

    @property
    def record(self) -> RunRecord:
        """The record of the first run."""
        return self.runs[0].record

    def values(self, metric: str) -> list[float]:
        """Values of a metric over the runs that have it."""
        return [run.record.metrics[metric] for run in self.runs if metric in run.record.metrics]

    def column(self, name: str) -> tuple[list[float | None], list[tuple[float, float] | None] | None]:
        """Mean accuracy on a task along the stream, and the range over seeds."""
        columns = [column for run in self.runs for task, _, column in table(run.record) if task == name]
        if not columns:
            return [], None
        length = max(map(len, columns))
        places = [[value for c in columns if i < len(c) and (value := c[i]) is not None] for i in range(length)]
        means = [statistics.fmean(values) if values else None for values in places]
        band = [(min(values), max(values)) if values else None for values in places] if len(columns) > 1 else None
        return means, band


def groups(runs: Sequence[Run]) -> list[Group]:
    """Group runs of the same recipe."""
    grouped = []
    for place, members in enumerate(repetitions([run.record for run in runs])):
        first = runs[members[0]]
        title = first.title if len(members) == 1 else f"{first.record.method} · {len(members)} seeds"
        grouped.append(Group(title, [runs[i] for i in members], place))
    return grouped


def matrix(runs: Sequence[Run], mode: str = "accuracy") -> str:
    """All results of some runs.

    Args:
        runs (`Sequence[Run]`): The runs.
        mode (`str`, defaults to `"accuracy"`): The value in each cell of the matrices, a key of `heatmap.MODES`.
    """
    if not runs:
        return empty("No run selected", "Choose one or more runs above.", "▦")
    shown = groups(runs)
    if all(run.record.zero_shot is None and not run.record.accuracy for run in runs):
        return empty(
            "No numbers yet", "They appear after the evaluation of the untrained model, and after each task.", "▦"
        )
    maps = joined(heatmap(run.record, mode, f"Matrix of {run.title}" if len(runs) > 1 else "") for run in runs)
    return (
        tiles(shown)
        + f'<div class="maps n{min(2, len(runs))}">{maps}</div>'
        + section(
            "Each task along the stream", curves(shown), "Accuracy in percent; the dotted line is zero-shot, the "
            "vertical one the training of the task. Bands: range over seeds.",
        )
        + retrieval(shown)
        + section("Time and memory", cost(shown), "Seconds of training, evaluation and the rest, summed over the run.")
    )  # fmt: skip


def tiles(shown: Sequence[Group]) -> str:
    """The metrics with their meaning."""
    cards = []
    measured = [metric for metric in (*INCREMENTAL, *TILES) if any(group.values(metric) for group in shown)]
    finished = all(group.record.accuracy_matrix().finished for group in shown)
    for metric in measured if finished else dict.fromkeys([*TILES, *measured]):
        name, meaning = ALL_METRICS[metric]
        best = _best(shown, metric)
        rows = joined(_tile_row(group, metric, group is best, len(shown) > 1) for group in shown)
        good = "lower is better" if metric in LOW_IS_GOOD else "higher is better"
        cards.append(
            f'<article class="tile"><h4>{text(name)}</h4><ul>{rows}</ul><p>{text(_sentence(meaning))} '
            f"<em>{good}</em></p></article>"
        )
    return f'<div class="tiles">{joined(cards)}</div>'


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + "."


def _best(shown: Sequence[Group], metric: str) -> Group | None:
    measured = [group for group in shown if group.values(metric)]
    if len(measured) < 2:
        return None
    choose = min if metric in LOW_IS_GOOD else max
    return choose(measured, key=lambda group: statistics.fmean(group.values(metric)))


def _tile_row(group: Group, metric: str, best: bool, several: bool) -> str:
    values = group.values(metric)
    if not values:
        shown = '<b class="later">after the last task</b>'
    else:
        spread = f"<small> ± {statistics.stdev(values):.1f}</small>" if len(values) > 1 else ""
        shown = f"<b>{statistics.fmean(values):.1f}</b>{spread}" + ('<span class="best">best</span>' if best else "")
    name = f"<span>{swatch(group.place)}{text(group.title)}</span>" if several else ""
    return f'<li class="{"several" if several else "single"}">{name}<div>{shown}</div></li>'


def curves(shown: Sequence[Group]) -> str:
    """One small chart for each task."""
    names = list(dict.fromkeys(name for group in shown for name, _, _ in table(group.record)))
    charts = []
    for name in names:
        ticks = max((_ticks(g.record) for g in shown), key=len)
        lines: list[Line] = []
        marks: dict[int, str] = {}
        for group in shown:
            values, band = group.column(name)
            trained = next((t for task, t, _ in table(group.record) if task == name), None)
            if trained is not None:
                marks[trained] = "own"
            if values and values[0] is not None and not any(line.quiet for line in lines):
                lines.append(Line("zero-shot", [values[0]] * len(ticks), 6, quiet=True))
            if values:
                lines.append(Line(group.title, values, group.place, band))
        title = f"{list(marks)[0]} {name}" if marks else f"{name} (never trained on)"
        chart = line_chart(lines, ticks, marks=marks, legend=False, small=True, label=f"Accuracy on {name}")
        charts.append(f'<div class="small-multiple"><h4>{text(title)}</h4>{chart}</div>')
    legend = joined(f"<li>{swatch(group.place)}<span>{text(group.title)}</span></li>" for group in shown)
    return f'<ul class="legend">{legend}</ul><div class="multiples">{joined(charts)}</div>'


def _ticks(record: RunRecord) -> list[tuple[str, str]]:
    return [(str(i), name) for i, name in enumerate(["zero-shot", *record.tasks])]


def retrieval(shown: Sequence[Group]) -> str:
    """Recall on datasets of captions, zero-shot and now; empty if there are none."""
    rows = []
    for group in shown:
        for name, entry in group.record.retrieval.items():
            before, now = entry["zero_shot"] or {}, entry["after"][-1] if entry["after"] else {}
            for way in dict.fromkeys(key.rsplit("_r", 1)[0] for key in {**before, **now} if key.endswith("_r1")):
                cells = joined(_recall(before.get(f"{way}_r{k}"), now.get(f"{way}_r{k}")) for k in RECALL_AT)
                rows.append(
                    f'<tr><th scope="row">{swatch(group.place)}{text(name)} <span class="muted">'
                    f"{text(way.replace('_', ' '))}</span></th>{cells}</tr>"
                )
    if not rows:
        return ""
    head = joined(f'<th scope="col">{each}</th>' for each in ("dataset", *(f"R@{k}" for k in RECALL_AT)))
    table_of = f"<thead><tr>{head}</tr></thead><tbody>{joined(rows)}</tbody>"
    body = f'<div class="scroll"><table class="plain">{table_of}</table></div>'
    return section("Retrieval", body, "Recall in percent: zero-shot → now, and the change in points.")


def _recall(before: float | None, now: float | None) -> str:
    if before is None or now is None:
        value = now if now is not None else before
        return f"<td>{'–' if value is None else f'{value:.1f}'}</td>"
    kind = "gain" if now - before >= 0.05 else "loss" if before - now >= 0.05 else ""
    return f'<td class="moved {kind}">{before:.1f} → {now:.1f} ({signed(now - before)})</td>'


def cost(shown: Sequence[Group]) -> str:
    """Seconds and memory of each group, as bars and numbers."""
    sums = [_seconds(group) for group in shown]
    longest = max((sum(parts.values()) for parts in sums), default=0) or 1
    rows = []
    for group, parts in zip(shown, sums, strict=True):
        if not sum(parts.values()):
            rows.append(f'<tr><th scope="row">{text(group.title)}</th><td colspan="6">not measured</td></tr>')
            continue
        bars = joined(
            f'<i class="{kind}" style="width:{100 * value / longest:.2f}%" '
            f'data-tip="{text(f"{kind}: {value:.1f} s")}"></i>'
            for kind, value in parts.items()
        )
        memory = group.record.peak_memory_mb
        cells = joined(f"<td>{_duration(parts[kind])}</td>" for kind in parts)
        rows.append(
            f'<tr><th scope="row">{swatch(group.place)}{text(group.title)}</th>'
            f'<td class="bars"><div>{bars}</div></td>{cells}'
            f"<td><b>{_duration(sum(parts.values()))}</b></td>"
            f"<td>{'–' if memory is None else f'{memory:,.0f} MB'}</td></tr>"
        )
    head = ("run", "", "training", "evaluation", "other", "together", "peak memory")
    return (
        f'<div class="scroll"><table class="plain cost"><thead><tr>'
        f"{joined(f'<th scope=col>{text(each)}</th>' for each in head)}</tr></thead>"
        f"<tbody>{joined(rows)}</tbody></table></div>"
    )


def _seconds(group: Group) -> dict[str, float]:
    """Mean seconds over seeds, by phase."""
    parts = {"training": 0.0, "evaluation": 0.0, "other": 0.0}
    for run in group.runs:
        for phase in run.record.phases:
            kind = phase["phase"] if phase["phase"] in parts else "other"
            parts[kind] += phase["seconds"] / len(group.runs)
    return parts


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.1f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def numbers(runs: Sequence[Run]) -> list[dict[str, object]]:
    """The cells of the matrices in long format, for CSV and JSON."""
    rows: list[dict[str, object]] = []
    for run in runs:
        for place, (name, trained, values) in enumerate(table(run.record)):
            for state, value in enumerate(values):
                if value is None:
                    continue
                best = best_before(values, state)
                zero_shot = untrained(run.record, place, state)
                rows.append({
                    "run": run.name, "method": run.record.method, "seed": run.record.seed, "state": state,
                    "after": run.record.tasks[state - 1] if state else "zero-shot", "task": name,
                    "trained_on": trained is not None, "accuracy": value,
                    "against_zero_shot": None if zero_shot is None else value - zero_shot,
                    "against_best_before": None if best is None else value - best,
                })  # fmt: skip
    return rows


def sentence(run: Run) -> str:
    """Result of a run in one sentence."""
    metrics = run.record.metrics
    if "last" not in metrics:
        return f"{run.done} of {len(run.record.tasks)} tasks are finished."
    lost = metrics.get("forgetting")
    return f"Last {metrics['last']:.1f} %" + ("" if lost is None else f", {signed(-lost)} points on earlier tasks")
