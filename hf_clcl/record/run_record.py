"""The record of a run (`results.json`), which cards, plots, tables and the app read."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config.validation import json_problems
from ..config.values import describe
from ..metrics.accuracy_matrix import AccuracyMatrix, seen_accuracy, update_metrics
from ..metrics.ranks import recall_problems
from ..metrics.scenarios import SCENARIOS, TASK_INCREMENTAL
from ..utils.errors import UserError
from ..utils.files import whole_file
from .parts import DatasetNote, EvaluationOnly, Loss, Phase, RecordedRecipe, Retrieval, Row, ScenarioRows
from .schema import check_writable, no_constant, plain
from .videos import VideoDatabase, video_contradictions, video_metrics

if TYPE_CHECKING:
    from pandas import DataFrame

SCHEMA = 1


@dataclass
class RunRecord:
    """The record of one run, finished or not. Metrics are computed from the matrix and never read from the file.

    Args:
        method (`str`): Name of the method.
        model (`str`): The model the stream started from: a Hub id or a folder.
        tasks (`list[str]`): Names of the tasks, in order.
        zero_shot (`list[float | None]`, *optional*): Accuracy in percent of the untrained model on each task.
        accuracy (`list[list[float | None]]`):
            One row in percent for each finished task. The accuracy on a dataset of captions is the mean R@1 of both
            directions of retrieval.
        scenario (`str`, defaults to `"task_incremental"`):
            The scenario of these rows: a name of [`~hf_clcl.metrics.scenarios`].
        baseline (`list[list[float | None]]`, *optional*):
            Accuracy of the untrained model, for scenarios in which the classes grow. It has one row for each task,
            finished or not, among the same classes as that task's row. `zero_shot` is then among the last row's.
        scenarios (`dict[str, ScenarioRows]`): The matrices of further scenarios, measured at the same time.
        evaluation_only (`dict[str, EvaluationOnly]`): Datasets that are evaluated and never trained on.
        retrieval (`dict[str, Retrieval]`): For each dataset of captions with a test split, trained on or not.
        video_database (`VideoDatabase`, *optional*): For streams with tasks of videos.
        recipe (`dict`): The recipe as resolved.
        versions (`dict[str, str]`): Versions of the libraries and of this software.
        seed (`int`, *optional*): Seed of the run.
        device (`str`, *optional*): Name of the hardware.
        trainable_parameters (`int`, *optional*): Number of trained weights.
        total_parameters (`int`, *optional*): Number of weights.
        phases (`list[Phase]`): Seconds and peak memory of each phase.
        losses (`list[Loss]`): The logged losses.
        datasets (`list[DatasetNote]`): Sizes and sources of all datasets, also of those that are only evaluated.
        fingerprints (`dict[str, dict[str, str]]`):
            What the data of each task and of the reference were, part by part; see [`~hf_clcl.data.fingerprint`].
        skipped_steps (`dict[str, int]`): Steps that were left out for numbers that are not finite, of tasks with any.
        protocol (`dict[str, Any]`): Facts that comparisons need and no recipe has: `batch_size` over all processes.
        weight_change (`dict[str, float]`):
            For each trained task, the distance between the trained parameters after and before it, relative to the
            norm of those before (estimated from a sample of large tensors). 0: training changed nothing.
        created (`str`, *optional*): When the run began (ISO 8601).
        finished (`bool`, defaults to `False`): Whether the stream came to its end.
        trains_jointly (`bool`, defaults to `False`):
            Whether one training was on all tasks together, whose one model is that of every row.
        trains_separately (`bool`, defaults to `False`):
            Whether each task started from the initial model, so that only the diagonal of the matrix has a meaning.
        command (`str`, *optional*): The command that made the run.
        citations (`list[str]`): BibTeX of the method and the benchmark.
        licence (`str`, *optional*): Licence of the weights, as a Hub identifier.
        extra (`dict`): Keys that this version does not know; kept unchanged.
    """

    method: str
    model: str
    tasks: list[str]
    zero_shot: list[float | None] | None = None
    accuracy: list[list[float | None]] = field(default_factory=list)
    scenario: str = TASK_INCREMENTAL.name
    baseline: list[Row] | None = None
    scenarios: dict[str, ScenarioRows] = field(default_factory=dict)
    evaluation_only: dict[str, EvaluationOnly] = field(default_factory=dict)
    retrieval: dict[str, Retrieval] = field(default_factory=dict)
    video_database: VideoDatabase | None = None
    recipe: RecordedRecipe = field(default_factory=RecordedRecipe)
    versions: dict[str, str] = field(default_factory=dict)
    seed: int | None = None
    device: str | None = None
    trainable_parameters: int | None = None
    total_parameters: int | None = None
    phases: list[Phase] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    datasets: list[DatasetNote] = field(default_factory=list)
    fingerprints: dict[str, dict[str, str]] = field(default_factory=dict)
    skipped_steps: dict[str, int] = field(default_factory=dict)
    protocol: dict[str, Any] = field(default_factory=dict)
    weight_change: dict[str, float] = field(default_factory=dict)
    created: str | None = None
    finished: bool = False
    trains_jointly: bool = False
    trains_separately: bool = False
    command: str | None = None
    citations: list[str] = field(default_factory=list)
    licence: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def accuracy_matrix(self) -> AccuracyMatrix:
        """The matrix of the main scenario, which computes its metrics."""
        return AccuracyMatrix(tasks=self.tasks, accuracy=self.accuracy, zero_shot=self.zero_shot)

    @property
    def matrix(self) -> DataFrame:
        """Accuracy in percent as a table: a row before training and after each finished task, a column for each task.

        A value that was not measured is NaN.
        """
        from pandas import DataFrame

        none = [None] * len(self.tasks)
        rows = [self.zero_shot or none, *self.accuracy]
        index = ["zero-shot", *self.tasks[: len(self.accuracy)]]
        return DataFrame(rows, index=index, columns=self.tasks, dtype=float)

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics of the main scenario, of held-out classes if there are any, and of video retrieval."""
        if self.trains_separately:
            own = [row[place] for place, row in enumerate(self.accuracy)]
            done = [value for value in own if value is not None]
            return {"individual": sum(done) / len(done)} if len(done) == len(self.tasks) else {}
        of_stream = SCENARIOS[self.scenario].metrics(self.accuracy_matrix(), self.test_images, self.baseline)
        return {**of_stream, **self._update_metrics(), **video_metrics(self)}

    def _update_metrics(self) -> dict[str, float]:
        held_out = [name for name in self.evaluation_only if name not in self.retrieval]
        if not held_out or len(self.accuracy) < len(self.tasks):
            return {}
        last = dict(zip(self.tasks, self.accuracy[-1], strict=True))
        return update_metrics(
            [value for name, value in last.items() if name not in self.retrieval],
            [self.evaluation_only[name]["accuracy"][-1] for name in held_out],
        )

    @property
    def measure(self) -> str:
        """The measure of the tasks in words: accuracy, or R@1 for retrieval."""
        return self._measure(self.tasks)

    @property
    def shown_measure(self) -> str:
        """The measure of the tasks and of the datasets that are only evaluated."""
        return self._measure([*self.tasks, *self.evaluation_only])

    def _measure(self, names: list[str]) -> str:
        kinds = {"R@1" if name in self.retrieval else "accuracy" for name in names}
        return " or ".join(sorted(kinds, key=str.lower))

    @property
    def all_scenarios(self) -> list[str]:
        """Names of the scenarios, the main one first."""
        return [self.scenario, *self.scenarios]

    def of(self, scenario: str) -> RunRecord:
        """A copy of the record with only the matrix of one of its scenarios."""
        if scenario == self.scenario:
            return dataclasses.replace(self, scenarios={})
        rows = self.scenarios[scenario]
        return dataclasses.replace(
            self,
            zero_shot=rows["zero_shot"],
            accuracy=rows["accuracy"],
            baseline=rows.get("baseline"),
            scenario=scenario,
            scenarios={},
            evaluation_only={},
        )

    @property
    def test_images(self) -> list[int | None]:
        """Test images of each task that has classes."""
        counts = {note["task"]: note["test"] for note in self.datasets if note["classes"]}
        return [counts.get(task) for task in self.tasks]

    @property
    def seen(self) -> tuple[Row, Row]:
        """Accuracy on the images of all tasks seen so far, after each: of the model, and of the untrained one."""
        return seen_accuracy(self.accuracy, self.test_images), seen_accuracy(self.baseline or [], self.test_images)

    def untrained(self, step: int) -> Row:
        """What the row of the matrix after `step` tasks is compared with: the untrained model among its classes."""
        if self.baseline and step:
            return self.baseline[step - 1]
        return self.zero_shot or [None] * len(self.tasks)

    @property
    def seconds(self) -> float | None:
        """Total seconds of all phases; `None` if none was measured."""
        return sum(phase["seconds"] for phase in self.phases) if self.phases else None

    @property
    def peak_memory_mb(self) -> float | None:
        """The largest peak memory of all phases; `None` if none was measured."""
        return max((p["peak_memory_mb"] for p in self.phases if p["peak_memory_mb"] is not None), default=None)

    def until(self, task: str | None) -> RunRecord:
        """A copy of the record as it was after `task`, or before the first task if it is `None`.

        Raises:
            ValueError: If `task` is not a finished task.
        """
        finished = self.tasks[: len(self.accuracy)]
        if task is not None and task not in finished:
            raise ValueError(
                f"{task!r} is not a finished task of this run; finished are: {', '.join(finished) or 'none'}"
            )
        count = 0 if task is None else finished.index(task) + 1
        later = set(self.tasks[count:])
        return dataclasses.replace(
            self,
            accuracy=self.accuracy[:count],
            scenarios={name: {**rows, "accuracy": rows["accuracy"][:count]} for name, rows in self.scenarios.items()},
            evaluation_only={
                name: {**rows, "accuracy": rows["accuracy"][:count]} for name, rows in self.evaluation_only.items()
            },
            retrieval={name: {**rows, "after": rows["after"][:count]} for name, rows in self.retrieval.items()},
            video_database=self.video_database
            and {**self.video_database, "after": self.video_database["after"][:count]},
            phases=[phase for phase in self.phases if phase["task"] not in later],
            losses=[loss for loss in self.losses if loss["task"] not in later],
            skipped_steps={task: count for task, count in self.skipped_steps.items() if task not in later},
            weight_change={task: change for task, change in self.weight_change.items() if task not in later},
            finished=self.finished and count == len(self.tasks),
        )

    def drop_training(self, task: str) -> None:
        """Remove the losses, phases and skipped steps of a task. Its accuracies are kept."""
        self.losses = [loss for loss in self.losses if loss["task"] != task]
        self.phases = [phase for phase in self.phases if phase["task"] != task]
        self.skipped_steps.pop(task, None)
        self.weight_change.pop(task, None)

    @property
    def unchanged(self) -> list[str]:
        """Names of trained tasks after which every weight was as before."""
        return [task for task, change in self.weight_change.items() if change == 0]

    def to_dict(self) -> dict[str, Any]:
        """The record as plain JSON values, in the order of `results.json`."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "extra"}
        head = {name: values.pop(name) for name in ("method", "model", "tasks", "zero_shot", "accuracy")}
        further = {"scenario_metrics": {name: self.of(name).metrics for name in self.scenarios}}
        metrics = {"metrics": self.metrics, **(further if self.scenarios else {})}
        return plain({"schema": SCHEMA, **head, **metrics, **values, **self.extra})

    @classmethod
    def from_dict(cls, values: Any) -> RunRecord:
        """Check JSON values and make a record of them.

        Raises:
            ValueError: If the values are invalid; the message lists all problems.
        """
        if not isinstance(values, dict):
            raise ValueError(f"a record is a JSON object, found {describe(values)}")
        check_writable(values)
        schema = values.get("schema")
        if isinstance(schema, int) and schema > SCHEMA:
            raise ValueError(f"it has schema {schema} and this version reads up to {SCHEMA}; update hf_clcl")
        if type(schema) is not int or schema < 1:
            raise ValueError(f"`schema` must be a number, got {schema!r}; was it written by hf_clcl?")
        if problems := json_problems(RunRecord, {**values, "extra": {}}):
            raise ValueError("; ".join(problems))
        known = {f.name for f in dataclasses.fields(cls) if f.name != "extra"}
        record = cls(**{key: value for key, value in values.items() if key in known})
        if problems := record._contradictions():
            raise ValueError("; ".join(problems))
        # Metrics in the file are for other readers: here they always follow from the matrix.
        computed = {"schema", "metrics", "scenario_metrics"}
        if "trains_jointly" not in values:  # records of older versions
            record.trains_jointly = record.method == "joint"
        record.extra = {key: v for key, v in values.items() if key not in {*known, *computed}}
        return record

    def _contradictions(self) -> list[str]:
        """Values of the right type that contradict each other."""
        if odd := [name for name in self.all_scenarios if name not in SCENARIOS]:
            return [f"scenario: must be one of {', '.join(SCENARIOS)}, got {odd[0]!r:.80}"]
        try:
            for name in self.all_scenarios:
                view = self.of(name)
                view.accuracy_matrix()
                if view.baseline is not None:
                    AccuracyMatrix(self.tasks, view.baseline)
        except ValueError as error:
            return [str(error)]
        # A task's name is also the name of its folder, so it must not be a path to another folder.
        if odd := [task for task in self.tasks if any(sign in task for sign in "/\\\0") or task in (".", "..")]:
            return [f"tasks: must be names of folders, got {odd[0]!r:.80}"]
        count = len(self.accuracy)
        lengths = {f"evaluation_only: {name}": len(rows["accuracy"]) for name, rows in self.evaluation_only.items()}
        lengths |= {f"scenarios: {name}": len(rows["accuracy"]) for name, rows in self.scenarios.items()}
        lengths |= {f"retrieval: {name}": len(rows["after"]) for name, rows in self.retrieval.items()}
        lengths |= {"video_database": len(self.video_database["after"])} if self.video_database else {}
        problems = [f"{where}: {n} entries for {count} finished tasks" for where, n in lengths.items() if n != count]
        for name, rows in self.retrieval.items():
            if name not in self.tasks and name not in self.evaluation_only:
                problems.append(f"retrieval: {name}: must be a task or an entry of evaluation_only")
            for entry in filter(None, [rows["zero_shot"], *rows["after"]]):
                problems += [f"retrieval: {name}: {problem}" for problem in recall_problems(entry)]
        return problems + video_contradictions(self)

    @classmethod
    def load(cls, path: str | Path) -> RunRecord:
        """Load a record from `results.json`, or from the folder of a run.

        Raises:
            UserError: If the file is missing, damaged, not a record, or of a newer schema.
        """
        path = Path(path)
        path = path / "results.json" if path.is_dir() else path
        try:
            return cls.from_dict(json.loads(path.read_text(encoding="utf-8"), parse_constant=no_constant))
        except OSError as error:
            reason = error.strerror or str(error)
            raise UserError(f"{path}: cannot be read: {reason}; give a results.json or the folder of a run") from None
        except RecursionError:
            raise UserError(f"{path}: is nested too deeply; give a results.json written by hf_clcl") from None
        except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors too
            raise UserError(
                f"{path}: is not a record of a run: {error}. Give a results.json written by hf_clcl; if it is "
                "damaged, run the same command again to write it"
            ) from None

    def save(self, path: str | Path) -> None:
        """Write `results.json` atomically."""
        text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
        with whole_file(path) as file:
            file.write_text(text + "\n", encoding="utf-8")
