"""The contract of a continual method, and what all methods share.

A method is told of each task (`begin_task`), gives the losses of each step, and may change the model when a task
ends. It keeps no reference to the model, and whatever it must remember to go on after a stop is in `state_dict`.
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
from ..data.texts.tokens import stack_texts
from ..models.embedding import pool_clips
from ..models.embedding_cache import EmbeddingCache
from ..models.families import family_of
from . import losses

if TYPE_CHECKING:
    from ..data.task import Task


@dataclass
class TaskContext:
    """What a method may know of the task it is about to learn.

    Args:
        name (`str`): Name of the task.
        index (`int`): Its place in the stream, from 0.
        args (`ContinualTrainingArguments`): Training values of this task.
        accelerator (`Accelerator`): Device, precision and processes.
        frames (`Frames`): Training images of the task.
        input_ids (`Tensor` of shape `[C, L]`): Class prompts, or the captions of a caption task.
        normalize (`Callable`): Turns frames into pixel values.
        initial_model (`Callable[[], PreTrainedModel]`): Loads the untrained CLIP, frozen, apart from the student.
        reference_frames (`Frames`, *optional*): Reference images.
        reference_input_ids (`Tensor` of shape `[M, L]`, *optional*): Reference texts.
        labels (`np.ndarray` of shape `[rows]`, *optional*): Class of each image; `None` for a task of captions.
        captions_of (`list[np.ndarray]`, *optional*): For captions, the rows of `input_ids` that describe each image.
        tokenizer (`PreTrainedTokenizerBase`, *optional*): The model's tokenizer.
        seed (`tuple[int, ...]`): Source of random numbers for this task.
        drawn (`Callable[[int], np.ndarray]`):
            Which rows of a second stream of so many images the steps of this task will look at, sorted.
        embeddings (`EmbeddingCache`, *optional*): Where the embeddings of a teacher that stays the same are kept.
    """

    name: str
    index: int
    args: ContinualTrainingArguments
    accelerator: Accelerator
    frames: Frames
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
    """Normalised embeddings of one step in fp32, all the student's: images `[B, d]`, texts `[C or B, d]`, reference
    images `[R, d]`, further texts `[M, d]`."""

    images: Tensor
    texts: Tensor
    scale: Tensor
    reference_images: Tensor | None = None
    extra_texts: Tensor | None = None


@dataclass
class Method:
    """Sequential fine-tuning, and the base of every other method.

    A subclass is a dataclass whose fields are its options in a recipe. It overrides what it changes (mostly `terms`)
    and calls `super()` for the rest.
    """

    name: ClassVar[str] = "finetune"
    trains: ClassVar[bool] = True
    trains_jointly: ClassVar[bool] = False
    trains_separately: ClassVar[bool] = False  # each task starts from the initial model
    remembers: ClassVar[bool] = False  # whether `state_dict` keeps something from task to task
    needs_labels: ClassVar[bool] = False
    takes_adapters: ClassVar[bool] = True
    wants_patch_tokens: ClassVar[bool] = False  # whether it reads the last states of all tokens of an image
    citation: ClassVar[str] = ""

    monitored: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)
    _class_texts: Tensor | None = field(default=None, init=False, repr=False, compare=False)

    def problems(self) -> list[str]:
        """What is wrong with the options, a line each."""
        return []

    def stream_problems(self, tasks: Sequence[Task]) -> list[str]:
        """What keeps this method from learning a stream, a line each; asked before anything is trained."""
        return [
            f"{task.name}: {self.name} needs class labels, and this is a task of {task.kind.name}; "
            "choose another method"
            for task in tasks
            if self.needs_labels and not task.kind.has_labels
        ]

    def adapter_problems(self) -> list[str]:
        """What keeps this method from learning by adapters (`peft`), a line each."""
        return [] if self.takes_adapters else [f"peft: {self.name} does not learn by adapters; leave peft out"]

    def reference_problems(self, has_images: bool, has_texts: bool) -> list[str]:
        """Which reference data this method needs and does not have, one line each."""
        missing = {
            "images": self.needs_reference_images and not has_images,
            "texts": self.needs_reference_texts and not has_texts,
        }
        return [
            f"{self.name} distils on reference {what}: give reference_{what}"
            for what, lacks in missing.items()
            if lacks
        ]

    def model_problems(self, model: PreTrainedModel) -> list[str]:
        """What keeps this method from teaching a model, a line each; asked before anything is measured."""
        return []

    @property
    def moves_weights(self) -> str | None:
        """The option, as `name: value`, by which weights change between two steps; DeepSpeed would undo that."""
        return None

    @property
    def keeps_on_cpu(self) -> str | None:
        """The option by which something as large as the weights is kept on the CPU; FSDP shards it on the devices."""
        return None

    @property
    def needs_reference_images(self) -> bool:
        """Whether the recipe has to name reference images."""
        return False

    @property
    def needs_reference_texts(self) -> bool:
        """Whether the recipe has to name reference texts."""
        return False

    def begin_task(self, model: PreTrainedModel, context: TaskContext) -> None:
        """Prepare for a task: build the teacher, take the anchor.

        Args:
            model (`PreTrainedModel`): The model at the start of the task, on its device. Not to be kept.
            context (`TaskContext`): What is known of the task.
        """
        self.label_smoothing = context.args.label_smoothing_factor
        self._class_texts = None

    def reference_frames(self, context: TaskContext) -> Frames | None:
        """Images of the second stream that each step draws from beside the task's own, if any."""
        return None

    def extra_texts(self) -> Tensor | None:
        """Token ids `[M, L]` of texts that the student encodes in this step beside the task's own, if any."""
        return None

    def losses(self, model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The losses of a step by name; the trainer adds them up and logs each.

        Args:
            model (`nn.Module`): The model as wrapped for training; call it once.
            batch (`dict[str, Tensor]`): See [`~hf_clcl.data.batches.TaskBatches`]; images are normalised.
        """
        return self.terms(model, self.embed(model, batch), batch)

    def terms(self, model: nn.Module, embeddings: Embeddings, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The losses of a step from its embeddings; subclasses add theirs to those of `super()`."""
        return {"task_loss": self.task_loss(embeddings, batch)}

    def callbacks(self) -> list[TrainerCallback]:
        """Callbacks that act along a task, such as weight averaging."""
        return []

    def end_task(self, model: PreTrainedModel) -> PreTrainedModel:
        """Finish a task, for example by averaging; returns the model that is saved and goes on."""
        return model

    def state_dict(self) -> dict[str, Tensor]:
        """What cannot be computed anew after a stop within a task, or between two tasks."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take back what `state_dict` gave: after `begin_task` within a task, before it between two tasks."""

    def embed(self, model: nn.Module, batch: dict[str, Tensor]) -> Embeddings:
        """One forward for task images, reference images and all texts. The frames of clips are images, then pooled."""
        input_ids, classes = batch["input_ids"], self._class_texts
        lots = [] if classes is not None else [input_ids]
        if (extra := self.extra_texts()) is not None:
            lots.append(extra.to(input_ids.device))
        seen = [batch[name] for name in ("pixel_values", "reference_pixel_values") if name in batch]
        frames = [pixel_values.flatten(0, -4) for pixel_values in seen]
        stacked = stack_texts(*lots or [input_ids[:1]])  # the model wants a text even where none is asked for
        if hasattr(model, "_orig_mod"):  # compiled: once, for any number of texts of any length
            torch._dynamo.maybe_mark_dynamic(stacked, (0, 1))
        outputs = model(input_ids=stacked, pixel_values=torch.cat(frames))
        texts = list(outputs.text_embeds.float().split([len(lot) for lot in lots])) if lots else []
        if classes is None:
            classes = texts.pop(0)
            if "labels" in batch and torch.is_grad_enabled() and not classes.requires_grad:
                self._class_texts = classes  # the text encoder is frozen: the same at every step of the task
        plain = getattr(model, "module", model)
        embedded = outputs.image_embeds.float().split([len(part) for part in frames])
        images, *reference = [pool_clips(part, shown) for part, shown in zip(embedded, seen, strict=True)]
        return Embeddings(
            images=images,
            texts=classes,
            scale=family_of(plain).similarity_scale(plain),
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
        """Log a value that is not trained on."""
        self.monitored[name] = value.detach()

    def options(self) -> dict[str, Any]:
        """The options of this method by name."""
        return {name: getattr(self, name) for name in option_names(type(self))}


def option_names(cls: type[Method]) -> list[str]:
    """Names of the options that a method has."""
    return [f.name for f in fields(cls) if f.init]
