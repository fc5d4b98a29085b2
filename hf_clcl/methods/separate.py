"""A fine-tuning of the initial model on each task alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from transformers import PreTrainedModel

from .averaging import load_parameters
from .base import Method, TaskContext


@dataclass
class Separate(Method):
    """Fine-tune the initial model on each task alone (the upper bound of the published tables of MTIL).

    Each task starts from the initial weights, so the stream gives one model per task. The result is one row: the
    accuracy of each model on its own task, which is the diagonal of the accuracy matrix. Its mean is the metric
    `individual`; Transfer, Average, Last and forgetting have no meaning here and are left out.
    """

    name: ClassVar[str] = "separate"
    trains_separately: ClassVar[bool] = True
    takes_adapters: ClassVar[bool] = False

    def begin_task(self, model: PreTrainedModel, context: TaskContext) -> None:
        super().begin_task(model, context)
        initial = context.initial_model().named_parameters()
        load_parameters(model, {name: value.to(model.device) for name, value in initial})
