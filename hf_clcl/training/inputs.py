"""Check the arguments of `ContinualTrainer` and convert them for training."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, TypeGuard

from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel, ProcessorMixin, TrainingArguments

from ..config.arguments import ContinualTrainingArguments
from ..data.images.frames import Frames, ImageCache
from ..data.inputs import reference_sentences, reference_set, training_task
from ..data.references import ReferenceImages
from ..data.task import Task
from ..data.task_data import TaskData
from ..data.texts.tokens import tokenize
from ..methods import Method
from ..models.loading import check_model, check_tokenizer, with_pil_images
from ..utils.errors import RecipeError, UserError


def check_arguments(args: Any) -> None:
    """Check that training values are `ContinualTrainingArguments`.

    Raises:
        UserError: If they are not; `TrainingArguments` lack the values of continual methods.
    """
    if isinstance(args, ContinualTrainingArguments):
        return
    same = ", which take the same values" if isinstance(args, TrainingArguments) else ""
    raise UserError(
        f"args must be ContinualTrainingArguments{same}, got {type(args).__name__}: "
        "ContinualTrainingArguments(output_dir, max_steps=100, ...)"
    )


def check_alone(
    model: PreTrainedModel, method: Method, train_dataset: Any, processing_class: ProcessorMixin | None
) -> ProcessorMixin | None:
    """Run the checks that a stream runs before its first task, for a trainer without a stream.

    Args:
        model (`PreTrainedModel`): The model to train.
        method (`Method`): The continual-learning method.
        train_dataset (`Dataset`, `Task` or `TaskData`): The training data.
        processing_class (`ProcessorMixin`, *optional*): The processor of the model.

    Returns:
        `ProcessorMixin`: A copy of the processor that reads images with PIL; `None` if none is given.

    Raises:
        UserError: If they do not fit together.
    """
    if not method.trains:
        raise RecipeError(
            f"method: {method.name} trains nothing: choose a method that trains; to evaluate the model without "
            "training, call evaluate() and not train()",
            "the arguments",
        )
    if method.trains_jointly:
        raise RecipeError(
            f"method: {method.name} trains on all tasks of a stream jointly: pass the tasks to hf_clcl.run_stream, or "
            "choose finetune for one task",
            "the arguments",
        )
    check_model(model)
    if processing_class is None:
        if isinstance(train_dataset, TaskData):
            return None
        raise UserError(
            "processing_class is missing: give the model's processor, such as AutoProcessor.from_pretrained(...)"
        )
    processing_class = with_pil_images(copy.deepcopy(processing_class))
    check_tokenizer(model, processing_class.tokenizer)
    problems = method.model_problems(model)
    problems += method.stream_problems([train_dataset]) if isinstance(train_dataset, Task) else []
    if problems:
        raise RecipeError(problems, "the arguments")
    return processing_class


def task_data(
    train_dataset: Dataset | Task | TaskData,
    processor: ProcessorMixin | None,
    cache: ImageCache | None,
    min_crop_scale: float,
) -> TaskData:
    """The training data as frames and token ids.

    Args:
        train_dataset (`Dataset`, `Task` or `TaskData`): The training data.
        processor (`ProcessorMixin`, *optional*): The processor of the model; required unless the data is a `TaskData`.
        cache (`ImageCache`, *optional*): Cache of decoded images.
        min_crop_scale (`float`): Smallest share of the image area that a random training crop keeps.

    Raises:
        DataError: If the data cannot be used.
    """
    if isinstance(train_dataset, TaskData):
        return train_dataset
    if processor is None:
        raise UserError("train_dataset needs the processor of the model: give processing_class")
    return TaskData.of(training_task(train_dataset), processor, cache, min_crop_scale)


def reference_frames(
    images: Dataset | ReferenceImages | Frames | None, processor: ProcessorMixin | None, cache: ImageCache | None
) -> Frames | None:
    """Reference images, resized for the model; frames are returned unchanged."""
    if images is None or _is_frames(images):
        return images
    if processor is None:
        raise UserError("reference_images need the processor of the model: give processing_class")
    rows, column = reference_set(images)
    return Frames(rows, column, processor.image_processor, cache, "reference_images")


def _is_frames(images: object) -> TypeGuard[Frames]:
    return hasattr(images, "evaluation_batch")  # any object with the interface of `Frames`


def reference_ids(texts: Sequence[str] | Tensor | None, processor: ProcessorMixin | None) -> Tensor | None:
    """Token ids `[M, L]` of reference texts."""
    if texts is None or isinstance(texts, Tensor):
        return texts
    if processor is None:
        raise UserError("reference_texts need the processor of the model: give processing_class")
    return tokenize(processor.tokenizer, reference_sentences(texts))
