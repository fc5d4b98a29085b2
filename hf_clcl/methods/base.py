"""The base class of continual learning methods.

A method prepares for each task (`begin_task`), computes the losses of each step, and may change the model when a task
ends. It holds no reference to the model. All that it needs to resume is in `state_dict`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

from ..config.arguments import ContinualTrainingArguments
from ..data.images.frames import Frames
from ..data.images.image_source import ImageSource
from ..data.texts.tokens import stack_texts
from ..models.embedding import pool_clips
from ..models.embedding_cache import EmbeddingCache
from ..models.families import family_of
from . import losses

if TYPE_CHECKING:
    from ..data.task import Task


@dataclass
class TaskContext:
    """The data and settings of a task, for the method that trains on it.

    Args:
        name (`str`): Name of the task.
        index (`int`): Index of the task in the stream, from 0.
        args (`ContinualTrainingArguments`): Training arguments of this task.
        accelerator (`Accelerator`): Device, precision and processes.
        frames (`ImageSource`): Training images of the task.
        input_ids (`Tensor` of shape `[C, L]`): Class prompts, or the captions of a caption task.
        normalize (`Callable`): Converts frames to pixel values.
        initial_model (`Callable[[], PreTrainedModel]`): Returns a frozen copy of the untrained model.
        reference_frames (`Frames`, *optional*): Reference images.
        reference_input_ids (`Tensor` of shape `[M, L]`, *optional*): Reference texts.
        labels (`np.ndarray` of shape `[rows]`, *optional*): Class index of each image; `None` for a task of captions.
        captions_of (`list[np.ndarray]`, *optional*): For captions, the rows of `input_ids` that describe each image.
        tokenizer (`PreTrainedTokenizerBase`, *optional*): The model's tokenizer.
        seed (`tuple[int, ...]`): Seed of this task.
        drawn (`Callable[[int], np.ndarray]`):
            `drawn(n)` returns the rows, sorted, that the steps of this task draw from `n` reference images.
        embeddings (`EmbeddingCache`, *optional*): Disk cache for the embeddings of a teacher that does not change.
    """

    name: str
    index: int
    args: ContinualTrainingArguments
    accelerator: Accelerator
    frames: ImageSource
    input_ids: Tensor
    normalize: Callable[[Tensor], Tensor]
    initial_model: Callable[[], PreTrainedModel]
    reference_frames: Frames | None = None
    reference_input_ids: Tensor | None = None
    labels: np.ndarray | None = None
    captions_of: list[np.ndarray] | None = None
    tokenizer: PreTrainedTokenizerBase | None = None
    seed: tuple[int, ...] = (0, 0)
    drawn: Callable[[int], np.ndarray] = np.arange
    embeddings: EmbeddingCache | None = None


@dataclass
class Embeddings:
    """Normalised embeddings of the student in one step, in fp32.

    Args:
        images (`Tensor` of shape `[B, d]`): Images of the task.
        texts (`Tensor` of shape `[C, d]` or `[B, d]`): Class prompts, or the captions of the images.
        scale (`Tensor`, scalar): Scale of the similarities.
        reference_images (`Tensor` of shape `[R, d]`, *optional*): Reference images.
        extra_texts (`Tensor` of shape `[M, d]`, *optional*): The texts of [`Method.extra_texts`].
    """

    images: Tensor
    texts: Tensor
    scale: Tensor
    reference_images: Tensor | None = None
    extra_texts: Tensor | None = None


@dataclass
class Method:
    """Sequential fine-tuning, and the base of every other method.

    A subclass is a dataclass whose fields are its options in a recipe. Most subclasses override `terms` and call
    `super()`.

    Attributes:
        name (`str`): Name of the method in recipes.
        trains (`bool`, defaults to `True`): Whether the method trains.
        trains_jointly (`bool`, defaults to `False`): Whether it trains once on all tasks together.
        trains_separately (`bool`, defaults to `False`): Whether each task starts from the initial model.
        remembers (`bool`, defaults to `False`): Whether `state_dict` holds state that the next task needs.
        needs_labels (`bool`, defaults to `False`): Whether it needs class labels.
        takes_adapters (`bool`, defaults to `True`): Whether it can train LoRA adapters.
        wants_patch_tokens (`bool`, defaults to `False`):
            Whether it reads the last hidden states of all image tokens, not only that of the class token.
        citation (`str`): BibTeX entry.
        monitored (`dict[str, Tensor]`): Values of [`Method.monitor`], which the trainer logs.
    """

    name: ClassVar[str] = "finetune"
    trains: ClassVar[bool] = True
    trains_jointly: ClassVar[bool] = False
    trains_separately: ClassVar[bool] = False
    remembers: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = False
    takes_adapters: ClassVar[bool] = True
    wants_patch_tokens: ClassVar[bool] = False
    citation: ClassVar[str] = ""

    monitored: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)
    _class_texts: Tensor | None = field(default=None, init=False, repr=False, compare=False)

    def problems(self) -> list[str]:
        """Problems with the options, one line each."""
        return []

    def stream_problems(self, tasks: Sequence[Task]) -> list[str]:
        """Reasons why this method cannot train on a stream, one line each; called before training."""
        return [
            f"{task.name}: {self.name} needs class labels, got a task of {task.kind.name}; choose another method"
            for task in tasks
            if self.needs_labels and not task.kind.has_labels
        ]

    def adapter_problems(self) -> list[str]:
        """Reasons why this method cannot train adapters (`peft`), one line each."""
        return [] if self.takes_adapters else [f"peft: {self.name} does not support adapters; leave peft out"]

    def reference_problems(self, has_images: bool, has_texts: bool) -> list[str]:
        """Reference data that this method needs and that are missing, one line each."""
        missing = {
            "images": self.needs_reference_images and not has_images,
            "texts": self.needs_reference_texts and not has_texts,
        }
        return [
            f"{self.name} distils on reference {what}: give reference_{what}"
            for what, is_missing in missing.items()
            if is_missing
        ]

    def model_problems(self, model: PreTrainedModel) -> list[str]:
        """Reasons why this method cannot train a model, one line each; called before evaluation."""
        return []

    @property
    def moves_weights(self) -> str | None:
        """The option, as `name: value`, that changes weights between steps; DeepSpeed would revert the change."""
        return None

    @property
    def keeps_on_cpu(self) -> str | None:
        """The option, as `name: value`, that keeps a copy of the weights on the CPU; FSDP does not support it."""
        return None

    @property
    def needs_reference_images(self) -> bool:
        """Whether reference images are required."""
        return False

    @property
    def needs_reference_texts(self) -> bool:
        """Whether reference texts are required."""
        return False

    def begin_task(self, model: PreTrainedModel, context: TaskContext) -> None:
        """Prepare for a task, for example embed the teacher's targets or copy the initial weights.

        Args:
            model (`PreTrainedModel`): The model at the start of the task, on its device. Do not store it.
            context (`TaskContext`): The data and settings of the task.
        """
        self.label_smoothing = context.args.label_smoothing_factor
        self._class_texts = None

    def reference_frames(self, context: TaskContext) -> ImageSource | None:
        """Reference images, from which each step draws a second batch; `None` for none."""
        return None

    def extra_texts(self) -> Tensor | None:
        """Token ids `[M, L]` of further texts that the student encodes in this step; `None` for none."""
        return None

    def losses(self, model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The losses of a step by name. The trainer trains on their sum and logs each.

        Args:
            model (`nn.Module`): The model as wrapped for training. Call it exactly once.
            batch (`dict[str, Tensor]`): See [`~hf_clcl.data.batches.TaskBatches`]; images are normalised.
        """
        return self.terms(model, self.embed(model, batch), batch)

    def terms(self, model: nn.Module, embeddings: Embeddings, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The losses of a step from its embeddings. Subclasses add theirs to those of `super()`."""
        return {"task_loss": self.task_loss(embeddings, batch)}

    def callbacks(self) -> list[TrainerCallback]:
        """Callbacks for the trainer of a task, such as weight averaging."""
        return []

    def end_task(self, model: PreTrainedModel) -> PreTrainedModel:
        """Finish a task, for example average the weights; returns the model to save and to train on the next task."""
        return model

    def state_dict(self) -> dict[str, Tensor]:
        """State to save in checkpoints and between tasks: all that cannot be recomputed when a run resumes."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Load the state of `state_dict`: after `begin_task` in the middle of a task, before it between two tasks."""

    def embed(self, model: nn.Module, batch: dict[str, Tensor]) -> Embeddings:
        """Embed task images, reference images and all texts in one forward pass. Clips are pooled over frames."""
        input_ids, classes = batch["input_ids"], self._class_texts
        groups = [] if classes is not None else [input_ids]
        if (extra := self.extra_texts()) is not None:
            groups.append(extra.to(input_ids.device))
        inputs = [batch[name] for name in ("pixel_values", "reference_pixel_values") if name in batch]
        frames = [pixel_values.flatten(0, -4) for pixel_values in inputs]
        stacked = stack_texts(*groups or [input_ids[:1]])  # the model needs at least one text
        if hasattr(model, "_orig_mod"):  # a compiled model: do not recompile for each number and length of texts
            torch._dynamo.maybe_mark_dynamic(stacked, (0, 1))
        outputs = model(input_ids=stacked, pixel_values=torch.cat(frames))
        texts = list(outputs.text_embeds.float().split([len(group) for group in groups])) if groups else []
        if classes is None:
            classes = texts.pop(0)
            if "labels" in batch and torch.is_grad_enabled() and not classes.requires_grad:
                self._class_texts = classes  # the text encoder is frozen: the same at every step
        unwrapped = getattr(model, "module", model)
        embedded = outputs.image_embeds.float().split([len(part) for part in frames])
        images, *reference = [pool_clips(part, pixels) for part, pixels in zip(embedded, inputs, strict=True)]
        return Embeddings(
            images=images,
            texts=classes,
            scale=family_of(unwrapped).similarity_scale(unwrapped),
            reference_images=reference[0] if reference else None,
            extra_texts=texts[0] if texts else None,
        )

    def task_loss(self, embeddings: Embeddings, batch: dict[str, Tensor]) -> Tensor:
        """Classification among the task's classes, or the contrastive loss of image-caption pairs."""
        if "labels" not in batch:
            return losses.contrastive(embeddings.images, embeddings.texts, embeddings.scale)
        return losses.classification(
            embeddings.images,
            embeddings.texts,
            embeddings.scale,
            batch["labels"],
            self.label_smoothing,
            batch.get("class_groups"),
        )

    def monitor(self, name: str, value: Tensor) -> None:
        """Log a value that is not part of the loss."""
        self.monitored[name] = value.detach()

    def options(self) -> dict[str, Any]:
        """Option name -> value."""
        return {name: getattr(self, name) for name in option_names(type(self))}


def option_names(cls: type[Method]) -> list[str]:
    """Names of the options of a method."""
    return [f.name for f in fields(cls) if f.init]
