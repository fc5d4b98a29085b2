"""`Session`: accelerator, processor, image cache and evaluator of one run; loads its models."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn
from transformers import PreTrainedModel

from ..data.images.frames import Frames, ImageCache
from ..data.task import Task
from ..data.task_data import frames_of
from ..evaluation.evaluator import StreamEvaluation
from ..models.loading import check_tokenizer, copy_model, load_model, load_processor, with_pil_images
from ..record.run_record import RunRecord
from .spec import StreamSpec


class Session:
    """The objects that training and evaluation of one run share.

    Args:
        spec (`StreamSpec`): The run.
        record (`RunRecord`): Where the evaluator writes its results.
        folder_of (`Callable[[str], Path]`): Folder for the embedded videos of a task.
    """

    def __init__(self, spec: StreamSpec, record: RunRecord, folder_of: Callable[[str], Path]):
        self.spec, args = spec, spec.args
        self.accelerator = Accelerator(mixed_precision=args.mixed_precision, cpu=args.use_cpu)
        if spec.processing_class is None:
            self.processor = load_processor(spec.model_name, spec.revision)
        else:
            self.processor = with_pil_images(copy.deepcopy(spec.processing_class))
        self.cache = ImageCache(args.image_cache_mb, args.disk_cache_mb, spec.folder)
        self.evaluation = StreamEvaluation(
            record, spec.tasks, spec.evaluation_only, self.test_frames, self.processor, self.accelerator, args,
            folder_of,
        )  # fmt: skip

    def base_model(self) -> PreTrainedModel:
        """A new copy of the base model, frozen."""
        if not isinstance(self.spec.model, str):
            return copy_model(self.spec.model).requires_grad_(False).eval()
        if self.spec.random_init:
            torch.manual_seed(self.spec.args.seed)
        return self.load(self.spec.model, self.spec.revision, self.spec.random_init)

    def load(
        self, name_or_path: str | Path, revision: str | None = None, random_init: bool = False
    ) -> PreTrainedModel:
        """Load a model, frozen and in evaluation mode; takes the arguments of `load_model`."""
        return load_model(name_or_path, revision, random_init).requires_grad_(False).eval()

    def to_device(self, model: PreTrainedModel) -> PreTrainedModel:
        """Check a model against the tokenizer and move it to the device."""
        check_tokenizer(model, self.processor.tokenizer)
        return nn.Module.to(model, self.spec.args.device)  # `PreTrainedModel.to` has no usable type

    def test_frames(self, task: Task) -> Frames:
        """The test images of a task, resized for the model."""
        return frames_of(task, "test", self.processor.image_processor, self.cache)

    def reference_frames(self) -> Frames | None:
        """The reference images, resized for the model; `None` without a reference set."""
        if self.spec.reference_images is None:
            return None
        images, column = self.spec.reference_images
        return Frames(images, column, self.processor.image_processor, self.cache, "reference images")
