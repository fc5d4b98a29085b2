"""Evaluate a model on all datasets of a run, and write the results to the record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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
from ..utils.required import required
from .context import EvaluationContext, Search
from .retrieval import search_pairs
from .videos import search_videos
from .zero_shot import Choices, TestSet, ZeroShotEvaluator

OUTSIDE = "evaluation_only"

SEARCHES: dict[Kind, Callable[[Sequence[Task], EvaluationContext], Search]] = {
    CAPTIONS: search_pairs,
    VIDEOS: search_videos,
}
"""For each kind of data without labels, the function that builds the search of its tasks."""


class StreamEvaluation:
    """Evaluates a model on every task of a stream, and on the datasets that are only evaluated.

    Args:
        record (`RunRecord`): The record that results are added to.
        tasks (`Sequence[Task]`): The stream, in order.
        evaluation_only (`Sequence[Task]`):
            Datasets that are never trained on. Their images are classified among their own classes.
        frames (`Callable[[Task], Frames]`): The test images of a task as frames of the model's size.
        processor (`ProcessorMixin`): Tokenizer and image processor of the model.
        accelerator (`Accelerator`): Device, precision and processes.
        args (`ContinualTrainingArguments`): Batch size, and whether to show progress.
        folder_of (`Callable[[str], Path]`): Folder of a finished task, where embeddings of videos are stored.
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
        """Evaluate a model, and add a row to the record.

        Args:
            model (`PreTrainedModel`): The model to evaluate.
            after (`str`, *optional*): The task that it was trained on last; `None` for the untrained model.

        Returns:
            `dict[str, float]`: The results, under the names that trackers log.
        """
        with measured(self.record.phases, "evaluation", after):
            title = f"evaluation after {after}" if after else "evaluation before training"
            accuracy = self.zero_shot(model, self._wanted(after), title, self.show)
            retrieval = self._search(self.searches, model, after, title)
        self._write(accuracy, retrieval, after)
        if not self._growing:
            self.zero_shot.free()
        logged = {f"accuracy/{name}": value for name, value in accuracy[self.record.scenario].items()}
        logged |= {f"accuracy/{name}": value for name, value in accuracy[OUTSIDE].items()}
        for scenario in self.record.scenarios:
            logged |= {f"accuracy/{scenario}/{name}": value for name, value in accuracy[scenario].items()}
        return logged | {
            f"retrieval/{name}/{key}": value for name, recall in retrieval.items() for key, value in recall.items()
        }

    def repeat(self, model: PreTrainedModel, after: str) -> None:
        """Add a row to the record after a task that has not changed the model.

        The last row is copied, except for scenarios whose classes have grown and searches of a database.
        """
        record = self.record
        if self._growing and not self.zero_shot.embedded:
            self.measure(model, after)
            return
        retrieval = {
            name: entry["after"][-1] if entry["after"] else required(entry["zero_shot"], f"zero_shot of {name}")
            for name, entry in record.retrieval.items()
        }
        growing = [kind for kind in self.searches if kind.keeps_database]
        retrieval |= self._search(growing, model, after, f"videos after {after}")
        if self._growing:
            self._write(self.zero_shot.classify(self._wanted(after)), retrieval, after)
            return
        accuracy = {}
        for scenario in record.all_scenarios:
            view = record.of(scenario)
            accuracy[scenario] = dict(zip(record.tasks, (view.accuracy or [view.untrained(0)])[-1], strict=True))
        outside = {
            name: entry["accuracy"][-1] if entry["accuracy"] else entry["zero_shot"]
            for name, entry in record.evaluation_only.items()
        }
        self._write({**accuracy, OUTSIDE: outside}, retrieval, after)

    def _search(
        self, kinds: Iterable[Kind], model: PreTrainedModel, after: str | None, title: str
    ) -> dict[str, dict[str, float]]:
        """Search the test data of some kinds. The measures of a database are added to the record here."""
        retrieval: dict[str, dict[str, float]] = {}
        for kind in kinds:
            measures, of_database = self.searches[kind](model, after, title, self.show)
            retrieval |= measures
            entry = self.record.video_database if kind.keeps_database else None
            if entry is not None and after is None:
                entry["zero_shot"] = of_database
            elif entry is not None:
                entry["after"].append(of_database)
        return retrieval

    def _wanted(self, after: str | None) -> dict[str, Choices]:
        """The classes to choose from, for each scenario and for the datasets that are only evaluated.

        For scenarios whose classes grow, the untrained model is measured among the classes of all tasks, and, for a
        fair comparison, among the classes of each later row.
        """
        seen = self._seen(after) if after else self.tasks
        wanted: dict[str, Choices] = {
            name: SCENARIOS[name].choices(self.tasks, seen) for name in self.record.all_scenarios
        }
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
        trained = self.record.tasks[: self.record.tasks.index(after) + 1]
        return [task for task in self.tasks if task in trained]

    def _write(
        self,
        accuracy: Mapping[str, Mapping[str, float | None]],
        retrieval: Mapping[str, dict[str, float]],
        after: str | None,
    ) -> None:
        """Add the results after a task to the record; for retrieval, the mean recall is the accuracy."""
        record, recall = self.record, {name: mean_recall(measures) for name, measures in retrieval.items()}
        scores = {key: {**values, **recall} for key, values in accuracy.items()}
        rows = {key: [values.get(name) for name in record.tasks] for key, values in scores.items()}
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
        for name, outside in record.evaluation_only.items():
            if after is None:
                outside["zero_shot"] = scores[OUTSIDE].get(name)
            else:
                outside["accuracy"].append(scores[OUTSIDE].get(name))
        for name, measures in record.retrieval.items():
            if after is None:
                measures["zero_shot"] = retrieval[name]
            else:
                measures["after"].append(retrieval[name])
