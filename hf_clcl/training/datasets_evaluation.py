"""Accuracy of a model on several datasets, for `ContinualTrainer.evaluate`."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path

from accelerate import Accelerator
from transformers import PreTrainedModel, ProcessorMixin

from ..config.arguments import ContinualTrainingArguments
from ..data.images.frames import ImageCache
from ..data.task import Task
from ..data.task_data import frames_of
from ..evaluation.evaluator import StreamEvaluation
from ..record.run_record import RunRecord


class DatasetsEvaluation:
    """Evaluates a model on datasets, each among its own classes.

    Args:
        tasks (`Mapping[str, Task]`): The datasets by the names in the reported metrics.
        processor (`ProcessorMixin`): Tokenizer and image processor of the model.
        accelerator (`Accelerator`): Device, precision and ranks.
        args (`ContinualTrainingArguments`): Batch size, and whether to show progress.
        cache (`ImageCache`): Cache of decoded images.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task],
        processor: ProcessorMixin,
        accelerator: Accelerator,
        args: ContinualTrainingArguments,
        cache: ImageCache,
    ):
        self.names = {task.name: name for name, task in tasks.items()}
        self.evaluation = StreamEvaluation(
            self._record(),
            list(tasks.values()),
            [],
            lambda task: frames_of(task, "test", processor.image_processor, cache),
            processor,
            accelerator,
            args,
            lambda name: Path(args.output_dir or ".") / "videos" / name,
        )

    def __call__(self, model: PreTrainedModel) -> dict[str, float]:
        """Evaluate a model; see [`~hf_clcl.training.trainer.ContinualTrainer.evaluate`] for the metric names.

        Args:
            model (`PreTrainedModel`): The model, on its device.

        Returns:
            `dict[str, float]`: `<name>_accuracy` and `<name>_<direction>_<measure>`, without the prefix if the name
            is empty; and `accuracy`, the mean over datasets.
        """
        self.evaluation.record = record = self._record()
        logged = self.evaluation.measure(model, None)
        row = dict(zip(record.tasks, record.zero_shot or (), strict=True))
        accuracy = {name: value for name, value in row.items() if value is not None}
        metrics = {self._key(task, "accuracy"): value for task, value in accuracy.items()}
        for key, value in logged.items():
            group, _, rest = key.partition("/")
            if group == "retrieval":
                task, _, measure = rest.partition("/")
                metrics[self._key(task, measure)] = value
        return {**metrics, "accuracy": statistics.fmean(accuracy.values())} if accuracy else metrics

    def _key(self, task: str, measure: str) -> str:
        name = self.names[task]
        return f"{name}_{measure}" if name else measure

    def _record(self) -> RunRecord:
        return RunRecord(method="", model="", tasks=list(self.names))
