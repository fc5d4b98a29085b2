"""The arguments of `ContinualTrainer`: checked, and turned into what training takes."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

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
    """Check that training values are those of this package.

    Raises:
        UserError: Where they are others; `TrainingArguments` lack the values of continual methods.
    """
    if isinstance(args, ContinualTrainingArguments):
        return
    found = type(args).__name__
    same = ", which takes the same values" if isinstance(args, TrainingArguments) else ""
    raise UserError(
        f"args needs ContinualTrainingArguments{same}, found {found}: "
        "ContinualTrainingArguments(output_dir, max_steps=100, ...)"
    )


def check_alone(
    model: PreTrainedModel, method: Method, train_dataset: Any, processing_class: ProcessorMixin | None
) -> ProcessorMixin | None:
    """Check what a stream checks before its first task, for a trainer that is used without a stream.

    Args:
        model (`PreTrainedModel`): The model to train.
        method (`Method`): How to learn.
        train_dataset (`Dataset`, `Task` or `TaskData`): What to train on.
        processing_class (`ProcessorMixin`, *optional*): The model's processor.

    Returns:
        `ProcessorMixin`: A copy of the processor that suits the model; `None` where there is none.

    Raises:
        UserError: Where they do not go together.
    """
    if not method.trains:
        raise RecipeError(
            f"method: {method.name} trains nothing: choose a method that trains; to measure the model alone, call "
            "evaluate() before train()",
            "the arguments",
        )
    if method.trains_jointly:
        raise RecipeError(
            f"method: {method.name} trains on all tasks of a stream at once: give them to hf_clcl.run_stream, or "
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
    """What to train on, as the model takes it.

    Raises:
        DataError: Where it cannot be used as it is.
    """
    if isinstance(train_dataset, TaskData):
        return train_dataset
    if processor is None:
        raise UserError("a dataset needs the model's processor: give processing_class")
    return TaskData.of(training_task(train_dataset), processor, cache, min_crop_scale)


def reference_frames(
    images: Dataset | ReferenceImages | Frames | None, processor: ProcessorMixin | None, cache: ImageCache | None
) -> Frames | None:
    """Reference images as frames of the model's size; anything but a dataset is taken as it is."""
    if images is None or hasattr(images, "evaluation_batch"):
        return images
    if processor is None:
        raise UserError("reference_images need the model's processor: give processing_class")
    rows, column = reference_set(images)
    return Frames(rows, column, processor.image_processor, cache, "reference_images")


def reference_ids(texts: Sequence[str] | Tensor | None, processor: ProcessorMixin | None) -> Tensor | None:
    """Token ids `[M, L]` of reference texts."""
    if texts is None or isinstance(texts, Tensor):
        return texts
    if processor is None:
        raise UserError("reference_texts need the model's processor: give processing_class")
    return tokenize(processor.tokenizer, reference_sentences(texts))
