"""`StreamSpec`: the base model, the data, the method and the training values of one run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config.arguments import ContinualTrainingArguments
from ..config.lora import LoRA
from ..data.references import ReferenceImages
from ..data.task import Task
from ..methods import Method
from ..metrics.scenarios import TASK_INCREMENTAL

if TYPE_CHECKING:
    from transformers import PreTrainedModel, ProcessorMixin


@dataclass
class StreamSpec:
    """The inputs of one run.

    Args:
        model (`str` or `PreTrainedModel`): The base model: a Hub id, a local folder, or a loaded model.
        tasks (`list[Task]`): The stream, in order.
        method (`Method`): The continual-learning method.
        args (`ContinualTrainingArguments`): Training values of the stream.
        processing_class (`ProcessorMixin`, *optional*): Processor of the model; loaded with the model if `None`.
        revision (`str`, *optional*): Branch, tag or commit of a Hub model.
        random_init (`bool`, defaults to `False`): Take only the model's configuration and draw new weights.
        evaluation_only (`list[Task]`, *optional*): Datasets that are evaluated and never trained on.
        reference_images (`ReferenceImages`, *optional*): Reference images, for methods that distil on them.
        reference_texts (`list[str]`, *optional*): Reference texts, for methods that distil on them.
        peft (`LoRA`, *optional*): Train low-rank updates only.
        scenarios (`list[str]`, defaults to `["task_incremental"]`): How accuracy is measured, the main one first.
        recipe (`dict`, *optional*): The recipe as plain values; derived from the other fields if `None`.
        command (`str`, *optional*): The command that started the run, for the record.
    """

    model: str | PreTrainedModel
    tasks: list[Task]
    method: Method
    args: ContinualTrainingArguments
    processing_class: ProcessorMixin | None = None
    revision: str | None = None
    random_init: bool = False
    evaluation_only: list[Task] = field(default_factory=list)
    reference_images: ReferenceImages | None = None
    reference_texts: list[str] | None = None
    peft: LoRA | None = None
    scenarios: list[str] = field(default_factory=lambda: [TASK_INCREMENTAL.name])
    recipe: dict[str, Any] | None = None
    command: str | None = None

    @property
    def everything(self) -> list[Task]:
        """All evaluated datasets: the tasks, then `evaluation_only`."""
        return [*self.tasks, *self.evaluation_only]

    @property
    def folder(self) -> Path:
        """The output folder."""
        return Path(self.args.output_dir or "outputs/run")

    @property
    def model_name(self) -> str:
        """Name of the base model in the record: its Hub id or folder, or the class of a model without either."""
        if isinstance(self.model, str):
            return self.model
        return str(self.model.name_or_path or type(self.model).__name__)
