"""All that a run measures after a task, and where it stands in the record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from accelerate import Accelerator
from transformers import PreTrainedModel, ProcessorMixin

from ..config.arguments import ContinualTrainingArguments
from ..data.images.frames import Frames, Normalizer
from ..data.task import Task
from ..metrics.ranks import mean_recall
from ..record.run_record import RunRecord
from ..utils.phases import measured
from .retrieval import Pairs, RetrievalEvaluator
from .videos import VideoEvaluator, Videos
from .zero_shot import Choices, TestSet, ZeroShotEvaluator

OUTSIDE = "evaluation_only"


def choices(scenario: str, tasks: Sequence[str], seen: Sequence[str]) -> dict[str, list[str]]:
    """For each task of a stream, the tasks among whose classes its images are classified.

    - `task_incremental`: its own.
    - `class_incremental`: those seen; and its own, where it is not yet among them, as if it came next.
    - `domain_agnostic`: all of the stream.

    Args:
        scenario (`str`): One of these.
        tasks (`Sequence[str]`): The stream, in order.
        seen (`Sequence[str]`): The tasks learnt so far.
    """
    if scenario == "task_incremental":
        return {task: [task] for task in tasks}
    if scenario == "domain_agnostic":
        return {task: list(tasks) for task in tasks}
    return {task: [*seen, *([] if task in seen else [task])] for task in tasks}


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
        classified = [task for task in everything if task.kind == "classification"]
        captioned = [task for task in everything if task.kind == "captions"]
        self.tasks = [task.name for task in tasks if task in classified]
        self.outside = [task.name for task in evaluation_only if task in classified]
        normalize = Normalizer(processor.image_processor)
        self.zero_shot = ZeroShotEvaluator(
            {task.name: TestSet(frames(task), task.labels("test"), task.prompts) for task in classified},
            processor.tokenizer,
            normalize,
            accelerator,
            args.per_device_eval_batch_size,
        )
        self.retrieval = RetrievalEvaluator(
            {task.name: Pairs.of(task, frames(task)) for task in captioned},
            processor.tokenizer,
            normalize,
            accelerator,
            args.per_device_eval_batch_size,
        )
        self.videos = VideoEvaluator(
            record.tasks,
            {task.name: Videos.of(task, frames(task)) for task in everything if task.kind == "videos"},
            folder_of,
            args.should_save,
            processor.tokenizer,
            normalize,
            accelerator,
            args.per_device_eval_batch_size,
        )

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
            retrieval = self.retrieval(model, title, self.show) | self._search_videos(model, after, title)
        self._write(found, retrieval, after)
        if "class_incremental" not in self.record.all_scenarios:
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

        It is the last row again, unless the classes to choose from have grown, or the videos to search.
        """
        record = self.record
        if "class_incremental" in record.all_scenarios and not self.zero_shot.embedded:
            self.measure(model, after)
            return
        retrieval = {
            name: entry["after"][-1] if entry["after"] else entry["zero_shot"]
            for name, entry in record.retrieval.items()
        } | self._search_videos(model, after, f"videos after {after}")
        if "class_incremental" in record.all_scenarios:
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

    def _search_videos(self, model: PreTrainedModel, after: str | None, title: str) -> dict[str, dict[str, float]]:
        """Search the videos of each task; what was found in the database of all goes to the record at once."""
        found, database = self.videos(model, after, title, self.show)
        entry = self.record.video_database
        if entry is not None and after is None:
            entry["zero_shot"] = database
        elif entry is not None:
            entry["after"].append(database)
        return found

    def _wanted(self, after: str | None) -> dict[str, Choices]:
        """What to classify among what: for each scenario, and for the datasets beside the stream.

        The untrained model is measured among the classes of all tasks in a class-incremental stream, and, for a fair
        comparison with each row, among those that the row will have.
        """
        seen = self._seen(after) if after else self.tasks
        wanted = {scenario: choices(scenario, self.tasks, seen) for scenario in self.record.all_scenarios}
        wanted[OUTSIDE] = {task: [task] for task in self.outside}
        if after is None and "class_incremental" in wanted:
            for task in self.record.tasks:
                wanted[f"class_incremental/{task}"] = choices("class_incremental", self.tasks, self._seen(task))
        return wanted

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
        if after is None and "class_incremental" in rows:
            baseline = [rows[f"class_incremental/{task}"] for task in record.tasks]
            if record.scenario == "class_incremental":
                record.baseline = baseline
            else:
                record.scenarios["class_incremental"]["baseline"] = baseline
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
