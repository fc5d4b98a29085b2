"""Section of a card: gains and losses by the last finished task."""

from __future__ import annotations

from collections.abc import Iterable

from ...record.run_record import RunRecord
from ..terminal import TOLERANCE, number
from .markdown import listed, text

Row = list[float | None]


def changes(record: RunRecord) -> str:
    """Gains and losses against the previous task and against zero-shot, as a Markdown list."""
    if not record.accuracy:
        return ""
    tasks, now, last = record.tasks, record.accuracy[-1], len(record.accuracy) - 1
    untrained = record.untrained(len(record.accuracy))
    before = record.accuracy[-2] if last else untrained
    lines = [_moved(f"Training {text(tasks[last])} took it", before[last], now[last])]
    if last:
        others = [i for i in range(len(tasks)) if i != last]
        start = f"Against the state after {text(tasks[last - 1])}, training {text(tasks[last])}"
        lines.append(_compared(start, others, tasks, before, now))
    lines.append(_compared("Against zero-shot, the stream so far", range(len(tasks)), tasks, untrained, now))
    lines.append(_means(record.measure, "trained so far", range(last + 1), untrained, now))
    lines.append(_means(record.measure, "not yet trained", range(last + 1, len(tasks)), untrained, now))
    for name, column in record.evaluation_only.items():
        subject = f"Since zero-shot, {text(name)}, never trained on, went"
        lines.append(_moved(subject, column["zero_shot"], column["accuracy"][last]))
    return "\n".join(f"- {line}" for line in lines if line)


def _moved(subject: str, before: float | None, now: float | None) -> str:
    if before is None or now is None:
        return ""
    return f"{subject} from {number(before)} % to {number(now)} % ({_signed(now - before)})."


def _compared(subject: str, chosen: Iterable[int], tasks: list[str], before: Row, now: Row) -> str:
    moves = {tasks[i]: new - old for i in chosen if (new := now[i]) is not None and (old := before[i]) is not None}
    falling = sorted(moves, key=lambda task: -moves[task])
    gained = [f"{text(task)} ({_signed(moves[task])})" for task in falling if moves[task] >= TOLERANCE]
    lost = [f"{text(task)} ({_signed(moves[task])})" for task in reversed(falling) if moves[task] <= -TOLERANCE]
    parts = [f"**{verb}** on {listed(names)}" for verb, names in (("gained", gained), ("lost", lost)) if names]
    return f"{subject} {'; '.join(parts) or 'changed nothing'}." if moves else ""


def _means(measure: str, which: str, chosen: Iterable[int], untrained: Row, now: Row) -> str:
    pairs = [(untrained[i], now[i]) for i in chosen]
    if not pairs or any(value is None for pair in pairs for value in pair):
        return ""
    before, after = (sum(values) / len(pairs) for values in zip(*pairs, strict=True))
    tasks = "the task" if len(pairs) == 1 else f"the {len(pairs)} tasks"
    change = f"zero-shot {number(before)} %, {_signed(after - before)}"
    return f"Mean {measure} on {tasks} {which}: {number(after)} % ({change})."


def _signed(change: float) -> str:
    return ("+" if change >= TOLERANCE else "") + number(change)
