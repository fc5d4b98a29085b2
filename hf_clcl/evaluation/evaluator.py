"""All that a run measures after a task, and where it stands in the record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from accelerate import Accelerator
from transformers import PreTrainedModel, ProcessorMixin

from ..config.arguments import ContinualTrainingArguments
from ..data.images.frames import Frames, Normalizer
from ..data.kinds import CAPTIONS, VIDEOS, Kind
from ..data.task import Task
from ..metrics.ranks import mean_recall
from ..metrics.scenarios import SCENARIOS
from ..record.run_record import RunRecord
from ..utils.phases import measured
from .context import EvaluationContext, Search
from .retrieval import search_pairs
from .videos import search_videos
from .zero_shot import Choices, TestSet, ZeroShotEvaluator

OUTSIDE = "evaluation_only"

SEARCHES: dict[Kind, Callable[[Sequence[Task], EvaluationContext], Search]] = {
    CAPTIONS: search_pairs,
    VIDEOS: search_videos,
}
"""For each kind of data without labels, what makes the search of all its tasks."""


class StreamEvaluation:
    """Evaluates a model on every task of a stream, and on the datasets beside it.

    Args:
        record (`RunRecord`): Where the numbers go.
        tasks (`Sequence[Task]`): The stream, in order.
        evaluation_only (`Sequence[Task]`): Datasets that are never trained on, each among its own classes.
        frames (`Callable[[Task], Frames]`): The test images of a task as frames of the model's size.
        processor (`ProcessorMixin`): Tokenizer and image processor of the model.
        accelerator (`Accelerator`): Device, precision and processes.
        args (`ContinualTrainingArguments`): Batch size, and whether to show progress.
        folder_of (`Callable[[str], Path]`): Folder of a finished task, where videos that were embedded are kept.
    """

    def __init__(
        self,
        record: RunRecord,
        tasks: Sequence[Task],
        evaluation_only: Sequence[Task],
        frames: Callable[[Task], Frames],
        processor: ProcessorMixin,
        accelerator: Accelerator,
        args: ContinualTrainingArguments,
        folder_of: Callable[[str], Path],
    ):
        self.record, self.show = record, not args.disable_tqdm
        everything = [task for task in [*tasks, *evaluation_only] if task.test is not None]
        classified = [task for task in everything if task.kind.has_labels]
        self.tasks = [task.name for task in tasks if task in classified]
        self.outside = [task.name for task in evaluation_only if task in classified]
        context = EvaluationContext(
            record.tasks,
            frames,
            folder_of,
            args.should_save,
            processor.tokenizer,
            Normalizer(processor.image_processor),
            accelerator,
            args.per_device_eval_batch_size,
        )
        self.zero_shot = ZeroShotEvaluator(
            {task.name: TestSet(frames(task), task.labels("test"), task.prompts) for task in classified},
            context.tokenizer,
            context.normalize,
            accelerator,
            context.batch_size,
        )
        by_kind = {kind: [task for task in everything if task.kind is kind] for kind in SEARCHES}
        self.searches = {kind: SEARCHES[kind](own, context) for kind, own in by_kind.items() if own}

    def measure(self, model: PreTrainedModel, after: str | None) -> dict[str, float]:
        """Fill the row of the record that belongs to a model.

        Args:
            model (`PreTrainedModel`): The model as it stands.
            after (`str`, *optional*): The task that it has just learnt; `None` for the untrained model.

        Returns:
            `dict[str, float]`: What was measured, under the names that trackers see.
        """
        with measured(self.record.phases, "evaluation", after):
            title = f"evaluation after {after}" if after else "evaluation before training"
            found = self.zero_shot(model, self._wanted(after), title, self.show)
            retrieval = self._search(self.searches, model, after, title)
        self._write(found, retrieval, after)
        if not self._growing:
            self.zero_shot.forget()
        logged = {f"accuracy/{name}": value for name, value in found[self.record.scenario].items()}
        logged |= {f"accuracy/{name}": value for name, value in found[OUTSIDE].items()}
        for scenario in self.record.scenarios:
            logged |= {f"accuracy/{scenario}/{name}": value for name, value in found[scenario].items()}
        return logged | {
            f"retrieval/{name}/{key}": value for name, recall in retrieval.items() for key, value in recall.items()
        }

    def repeat(self, model: PreTrainedModel, after: str) -> None:
        """Fill the row of the record after a task that has not changed the model.

        It is the last row again, unless the classes to choose from have grown, or a database that is searched.
        """
        record = self.record
        if self._growing and not self.zero_shot.embedded:
            self.measure(model, after)
            return
        retrieval = {
            name: entry["after"][-1] if entry["after"] else entry["zero_shot"]
            for name, entry in record.retrieval.items()
        }
        growing = [kind for kind in self.searches if kind.keeps_database]
        retrieval |= self._search(growing, model, after, f"videos after {after}")
        if self._growing:
            self._write(self.zero_shot.again(self._wanted(after)), retrieval, after)
            return
        found = {}
        for scenario in record.all_scenarios:
            view = record.of(scenario)
            found[scenario] = dict(zip(record.tasks, (view.accuracy or [view.untrained(0)])[-1], strict=True))
        outside = {
            name: entry["accuracy"][-1] if entry["accuracy"] else entry["zero_shot"]
            for name, entry in record.evaluation_only.items()
        }
        self._write({**found, OUTSIDE: outside}, retrieval, after)

    def _search(
        self, kinds: Iterable[Kind], model: PreTrainedModel, after: str | None, title: str
    ) -> dict[str, dict[str, float]]:
        """Search the test data of some kinds; measures of a database are added to the record at once."""
        found: dict[str, dict[str, float]] = {}
        for kind in kinds:
            measures, of_database = self.searches[kind](model, after, title, self.show)
            found |= measures
            entry = self.record.video_database if kind.keeps_database else None
            if entry is not None and after is None:
                entry["zero_shot"] = of_database
            elif entry is not None:
                entry["after"].append(of_database)
        return found

    def _wanted(self, after: str | None) -> dict[str, Choices]:
        """What to classify among what: for each scenario, and for the datasets beside the stream.

        Where the classes grow, the untrained model is measured among the classes of all tasks, and, for a fair
        comparison with each row, among those that the row will have.
        """
        seen = self._seen(after) if after else self.tasks
        wanted = {name: SCENARIOS[name].choices(self.tasks, seen) for name in self.record.all_scenarios}
        wanted[OUTSIDE] = {task: [task] for task in self.outside}
        if after is None:
            for name in self._growing:
                for task in self.record.tasks:
                    wanted[f"{name}/{task}"] = SCENARIOS[name].choices(self.tasks, self._seen(task))
        return wanted

    @property
    def _growing(self) -> list[str]:
        """Names of the scenarios of the record whose classes grow along the stream."""
        return [name for name in self.record.all_scenarios if SCENARIOS[name].classes_grow]

    def _seen(self, after: str) -> list[str]:
        learnt = self.record.tasks[: self.record.tasks.index(after) + 1]
        return [task for task in self.tasks if task in learnt]

    def _write(
        self, found: dict[str, dict[str, float | None]], retrieval: dict[str, dict[str, float]], after: str | None
    ) -> None:
        record, recall = self.record, {name: mean_recall(measures) for name, measures in retrieval.items()}
        found = {key: {**values, **recall} for key, values in found.items()}
        rows = {key: [values.get(name) for name in record.tasks] for key, values in found.items()}
        if after is None:
            record.zero_shot = rows[record.scenario]
        else:
            record.accuracy.append(rows[record.scenario])
        for scenario, entry in record.scenarios.items():
            if after is None:
                entry["zero_shot"] = rows[scenario]
            else:
                entry["accuracy"].append(rows[scenario])
        for name in self._growing if after is None else ():
            baseline = [rows[f"{name}/{task}"] for task in record.tasks]
            if name in record.scenarios:
                record.scenarios[name]["baseline"] = baseline
            else:
                record.baseline = baseline
        for name, entry in record.evaluation_only.items():
            if after is None:
                entry["zero_shot"] = found[OUTSIDE].get(name)
            else:
                entry["accuracy"].append(found[OUTSIDE].get(name))
        for name, entry in record.retrieval.items():
            if after is None:
                entry["zero_shot"] = retrieval[name]
            else:
                entry["after"].append(retrieval[name])
