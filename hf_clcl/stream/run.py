"""`run_stream`: train and evaluate a stream of tasks with one call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedModel, ProcessorMixin

from ..config.arguments import ContinualTrainingArguments
from ..config.lora import LoRA
from ..data.inputs import reference_sentences, reference_set
from ..data.references import ReferenceImages
from ..data.task import Task
from ..methods import Method, create_method
from ..metrics.scenarios import TASK_INCREMENTAL
from ..models.loading import check_model
from ..training.inputs import check_arguments
from ..utils.errors import RecipeError, UserError
from .result import StreamResult
from .spec import StreamSpec
from .stream import Stream


def run_stream(
    model: str | Path | PreTrainedModel,
    tasks: Sequence[Task],
    method: str | Method | type[Method] = "zscl",
    *,
    method_options: dict[str, Any] | None = None,
    evaluation_only: Sequence[Task] = (),
    reference_images: Dataset | ReferenceImages | None = None,
    reference_texts: Sequence[str] | None = None,
    args: ContinualTrainingArguments | None = None,
    processing_class: ProcessorMixin | None = None,
    model_revision: str | None = None,
    random_init: bool = False,
    recipe: dict[str, Any] | None = None,
    command: str | None = None,
    peft: LoRA | None = None,
    scenarios: Sequence[str] = (TASK_INCREMENTAL.name,),
    **training_values: Any,
) -> StreamResult:
    """Train a CLIP on one task after another, and evaluate it on all tasks after each one.

    If it is called again with the same arguments, it resumes the run in `output_dir`; a finished run is only read.

    Args:
        model (`str`, `Path` or `PreTrainedModel`):
            The base model: a Hub id, a local folder, or a loaded model, which is copied and never changed.
        tasks (`Sequence[Task]`): The stream, in order.
        method (`str`, `Method` or `type[Method]`, defaults to `"zscl"`): The continual-learning method.
        method_options (`dict`, *optional*): Options of a method that is given by name or class.
        evaluation_only (`Sequence[Task]`): Datasets that are evaluated after each task and never trained on.
        reference_images (`Dataset`, *optional*): Images of the reference set, for methods that distil on one.
        reference_texts (`Sequence[str]`, *optional*): Texts of the reference set.
        args (`ContinualTrainingArguments`, *optional*): Training values; or pass them as keyword arguments.
        processing_class (`ProcessorMixin`, *optional*):
            Processor of the model; required with a loaded model, otherwise loaded with the model.
        model_revision (`str`, *optional*): Branch, tag or commit of a Hub model.
        random_init (`bool`, defaults to `False`): Take only the configuration of the model and draw new weights.
        recipe (`dict`, *optional*): The recipe as plain values, saved as `recipe.yaml`.
        command (`str`, *optional*): The command that started the run, for the record.
        peft (`LoRA`, *optional*): Train low-rank updates only, merged after each task.
        scenarios (`Sequence[str]`, defaults to `("task_incremental",)`):
            How accuracy is measured, the main scenario first: see [`Recipe`].
        training_values: Values of `ContinualTrainingArguments`, such as `output_dir`, `max_steps`, `learning_rate`.

    Returns:
        `StreamResult`:
            The [`RunRecord`] that `results.json` in the output folder holds, with `.metrics`, `.matrix` (a table of
            accuracies), `.plot()`, and a table in notebooks.

    Raises:
        UserError: For any problem that the user can fix; finished tasks are kept.
    """
    if args is not None and training_values:
        raise RecipeError(f"args is given, so {', '.join(training_values)} must be set in it")
    if args is None:
        args = ContinualTrainingArguments.checked(training_values)
    check_arguments(args)
    if isinstance(model, Path):
        model = str(model)
    if not isinstance(model, str):
        _check_object(model, processing_class, model_revision, random_init)
    spec = StreamSpec(
        model, list(tasks), create_method(method, method_options), args, processing_class, model_revision, random_init,
        evaluation_only=list(evaluation_only),
        reference_images=None if reference_images is None else reference_set(reference_images),
        reference_texts=None if reference_texts is None else reference_sentences(reference_texts),
        peft=peft, scenarios=list(scenarios), recipe=recipe, command=command,
    )  # fmt: skip
    return StreamResult.from_record(Stream(spec).run())


def _check_object(
    model: PreTrainedModel, processing_class: ProcessorMixin | None, revision: str | None, random_init: bool
) -> None:
    """Check the arguments that belong to a loaded model."""
    check_model(model)
    if processing_class is None:
        raise UserError(
            "processing_class is missing: give the loaded model's processor, such as "
            "AutoProcessor.from_pretrained(...)"
        )
    if revision is not None or random_init:
        raise UserError("model_revision and random_init need a model that is given by name, got a loaded model")
