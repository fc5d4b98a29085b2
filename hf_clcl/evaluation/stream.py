"""All that a run measures after a task, and where it stands in the record."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from accelerate import Accelerator
from transformers import CLIPModel, CLIPProcessor

from ..arguments import ContinualTrainingArguments
from ..data.frames import Frames, Normalizer
from ..data.task import Task
from ..phases import measured
from ..record import RunRecord
from .ranks import mean_recall
from .retrieval import Pairs, RetrievalEvaluator
from .zero_shot import ZeroShotEvaluator


class StreamEvaluation:
    """Evaluates a model on every task of a stream, and on the datasets beside it.

    Args:
        record (`RunRecord`): Where the numbers go.
        tasks (`Sequence[Task]`): The stream, in order.
        evaluation_only (`Sequence[Task]`): Datasets that are never trained on.
        frames (`Callable[[Task], Frames]`): The test images of a task as frames of the model's size.
        processor (`CLIPProcessor`): Tokenizer and image processor of the model.
        accelerator (`Accelerator`): Device, precision and processes.
        args (`ContinualTrainingArguments`): Batch size, and whether to show progress.
    """

    def __init__(
        self,
        record: RunRecord,
        tasks: Sequence[Task],
        evaluation_only: Sequence[Task],
        frames: Callable[[Task], Frames],
        processor: CLIPProcessor,
        accelerator: Accelerator,
        args: ContinualTrainingArguments,
    ):
        self.record, self.show = record, not args.disable_tqdm
        everything = [task for task in [*tasks, *evaluation_only] if task.test is not None]
        classified = [task for task in everything if task.kind == "classification"]
        captioned = [task for task in everything if task.kind == "captions"]
        normalize = Normalizer(processor.image_processor)
        self.zero_shot = ZeroShotEvaluator(
            {task.name: (frames(task), task.labels("test"), task.prompts) for task in classified},
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

    def measure(self, model: CLIPModel, after: str | None) -> dict[str, float]:
        """Fill the row of the record that belongs to a model.

        Args:
            model (`CLIPModel`): The model as it stands.
            after (`str`, *optional*): The task that it has just learnt; `None` for the untrained model.

        Returns:
            `dict[str, float]`: What was measured, under the names that trackers see.
        """
        with measured(self.record.phases, "evaluation", after):
            title = f"evaluation after {after}" if after else "evaluation before training"
            accuracy = self.zero_shot(model, title, self.show)
            retrieval = self.retrieval(model, title, self.show)
        self._write(accuracy | {name: mean_recall(found) for name, found in retrieval.items()}, retrieval, after)
        return {f"accuracy/{name}": value for name, value in accuracy.items()} | {
            f"retrieval/{name}/{key}": value for name, found in retrieval.items() for key, value in found.items()
        }

    def repeat(self, after: str) -> None:
        """Fill the row of the record after a task that has not changed the model: the last row again."""
        record = self.record
        last = record.accuracy[-1] if record.accuracy else record.zero_shot
        accuracy = dict(zip(record.tasks, last, strict=True))
        for name, entry in record.evaluation_only.items():
            accuracy[name] = entry["accuracy"][-1] if entry["accuracy"] else entry["zero_shot"]
        retrieval = {
            name: entry["after"][-1] if entry["after"] else entry["zero_shot"]
            for name, entry in record.retrieval.items()
        }
        self._write(accuracy, retrieval, after)

    def _write(
        self, accuracy: dict[str, float | None], retrieval: dict[str, dict[str, float]], after: str | None
    ) -> None:
        record = self.record
        row = [accuracy.get(name) for name in record.tasks]
        if after is None:
            record.zero_shot = row
        else:
            record.accuracy.append(row)
        for name, entry in record.evaluation_only.items():
            if after is None:
                entry["zero_shot"] = accuracy.get(name)
            else:
                entry["accuracy"].append(accuracy.get(name))
        for name, entry in record.retrieval.items():
            if after is None:
                entry["zero_shot"] = retrieval[name]
            else:
                entry["after"].append(retrieval[name])
