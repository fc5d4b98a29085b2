"""Results of single checkpoints and of their mixtures with the base model: `evaluations.json`, a table and a plot."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from typing_extensions import TypedDict  # pydantic needs this one below Python 3.12

from ..config.validation import json_problems
from ..metrics.scenarios import SCENARIOS
from ..record.schema import plain
from ..reports.cards.markdown import table, text
from ..reports.figures import STYLE, save_figure
from ..reports.terminal import number
from ..utils.errors import UserError
from ..utils.files import whole_file

FILE = "evaluations.json"


class Evaluation(TypedDict):
    """The result of one model: accuracy in percent by scenario and dataset.

    `alpha` is the weight of the checkpoint in the mixture, `1 - alpha` that of the base model.
    """

    checkpoint: str
    alpha: float
    accuracy: dict[str, dict[str, float | None]]


@dataclass
class Evaluations:
    """The content of `evaluations.json`.

    Args:
        model (`str`): The base model: a Hub id or a folder.
        tasks (`list[str]`): Datasets of the stream, whose classes the scenarios use.
        evaluation_only (`list[str]`): Further datasets, each evaluated among its own classes.
        scenarios (`list[str]`): Names of the scenarios, the main one first.
        recipe (`dict`): The resolved recipe.
        versions (`dict[str, str]`): Versions of the libraries and of this software.
        command (`str`, *optional*): The command.
        evaluations (`list[Evaluation]`): One for each model; the base model is the mixture with `alpha` 0.
    """

    model: str
    tasks: list[str]
    evaluation_only: list[str]
    scenarios: list[str]
    recipe: dict[str, Any]
    versions: dict[str, str] = field(default_factory=dict)
    command: str | None = None
    evaluations: list[Evaluation] = field(default_factory=list)

    def find(self, checkpoint: str, alpha: float) -> Evaluation | None:
        """The result of a mixture, or `None`; `alpha` 0 is the same model for every checkpoint."""
        return next(
            (e for e in self.evaluations if e["alpha"] == alpha and (alpha == 0 or e["checkpoint"] == checkpoint)),
            None,
        )

    def save(self, folder: Path) -> None:
        """Write `evaluations.json` and `evaluations.md`, and the plot if there are mixtures."""
        with whole_file(folder / FILE) as file:
            values = plain(dataclasses.asdict(self))
            file.write_text(json.dumps({"schema": 1, **values}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        with whole_file(folder / "evaluations.md") as file:
            file.write_text(self.as_markdown(), encoding="utf-8")
        if any(0 < entry["alpha"] < 1 for entry in self.evaluations):
            plot_mixtures(self, folder)

    @classmethod
    def load(cls, path: Path) -> Evaluations:
        """Read an `evaluations.json`.

        Raises:
            UserError: If the file cannot be read or has wrong content.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            values = {f.name: values[f.name] for f in dataclasses.fields(cls)}
            wrong = [p for e in values["evaluations"] for p in json_problems(Evaluation, e)]
        except (OSError, ValueError, KeyError, TypeError) as error:
            wrong = [f"{type(error).__name__}: {error}"]
        if wrong:
            raise UserError(f"{path}: is not a valid list of evaluations: {wrong[0]}; choose another --output_dir")
        return cls(**values)

    def as_markdown(self) -> str:
        """The results as Markdown, one table for each scenario."""
        parts = []
        for scenario in self.scenarios:
            beside = self.evaluation_only if scenario == self.scenarios[0] else []
            head = ["checkpoint", "alpha", *map(text, self.tasks), "mean", *(f"*{text(name)}*" for name in beside)]
            rows = []
            for entry in self.evaluations:
                values = entry["accuracy"][scenario]
                cells = [values.get(name) for name in self.tasks]
                cells += [mean(values, self.tasks), *(values.get(name) for name in beside)]
                shown = ["–" if value is None else number(value) for value in cells]
                rows.append([text(entry["checkpoint"]), f"{entry['alpha']:g}", *shown])
            parts.append(f"Accuracy in percent, {SCENARIOS[scenario].words} ({scenario}):\n\n{table(head, rows)}")
        note = "`alpha`: share of the checkpoint's weights; the rest is the base model's (0: the base model itself)."
        return "\n\n".join([*parts, note]) + "\n"


def mean(values: dict[str, float | None], names: Sequence[str]) -> float | None:
    """Mean over datasets; `None` if one was not measured or there are none."""
    measured = [value for name in names if (value := values.get(name)) is not None]
    return sum(measured) / len(measured) if measured and len(measured) == len(names) else None


def plot_mixtures(evaluations: Evaluations, folder: str | Path) -> list[Path]:
    """Draw one line per checkpoint through its mixtures with the base model: `evaluations.png` and `.svg`.

    The y axis is the mean accuracy on the tasks. The x axis is the mean accuracy on the `evaluation_only` datasets, or
    `alpha` if there are none.
    """
    beside, tasks, scenario = evaluations.evaluation_only, evaluations.tasks, evaluations.scenarios[0]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.6, 4.2), layout="constrained")
        axes = figure.add_subplot()
        for checkpoint in dict.fromkeys(e["checkpoint"] for e in evaluations.evaluations if e["alpha"]):
            path = [e for e in evaluations.evaluations if e["checkpoint"] == checkpoint or e["alpha"] == 0]
            points = []
            for entry in sorted(path, key=lambda e: e["alpha"]):
                values = entry["accuracy"][scenario]
                x, y = mean(values, beside) if beside else entry["alpha"], mean(values, tasks)
                if x is not None and y is not None:
                    points.append((x, y, entry["alpha"]))
            axes.plot([x for x, *_ in points], [y for _, y, _ in points], marker="o", markersize=4, label=checkpoint)
            for x, y, alpha in points:
                axes.annotate(f"{alpha:g}", (x, y), xytext=(4, 4), textcoords="offset points", fontsize=7)
        axes.margins(0.12)
        axes.grid(color="#EEEEEE", linewidth=0.6)
        right = f"mean accuracy on {', '.join(beside)} (%)" if beside else "alpha: share of the checkpoint's weights"
        axes.set(xlabel=right, ylabel=f"mean accuracy on {len(tasks)} tasks (%)")
        axes.legend(frameon=False, fontsize=8)
        figure.suptitle("numbers: alpha, 0 is the base model", x=0.01, ha="left", fontsize=9)
        return save_figure(figure, Path(folder) / "evaluations")
