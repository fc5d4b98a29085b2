"""iCaRL: exemplars of earlier tasks, chosen by herding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Ge
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..data.texts.tokens import stack_texts
from ..models.embedding import embed_all_images
from ..utils.required import required
from . import losses
from .averaging import with_prefix, without_prefix
from .base import Embeddings, TaskContext
from .distilling import Distilling

if TYPE_CHECKING:
    from ..data.task import Task


@dataclass(eq=False)
class Exemplars:
    """Images kept from earlier tasks, with their classes: a source of images like [`Frames`].

    Args:
        images (`Tensor` of shape `[n, 3, H, W]`): Evaluation frames (uint8), those of a class in herding order.
        labels (`Tensor` of shape `[n]`): Classes, counted over all tasks.
        prompts (`Tensor` of shape `[K, L]`): Token ids of the prompt of each class seen.
        groups (`Tensor` of shape `[K]`): The task of each class.
    """

    images: Tensor
    labels: Tensor
    prompts: Tensor
    groups: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def evaluation_batch(self, indices: Sequence[int] | np.ndarray) -> Tensor:
        return self.images[torch.as_tensor(indices)]

    def cut(self, per_class: int) -> Exemplars:
        """The first so many exemplars of each class."""
        kept = [(self.labels == label).nonzero()[:per_class, 0] for label in range(len(self.prompts))]
        rows = torch.cat(kept)
        return Exemplars(self.images[rows], self.labels[rows], self.prompts, self.groups)


@dataclass
class ICaRL(Distilling):
    """Keep exemplars of earlier classes within a fixed memory; learn them again, and distil on them.

    After each task, every class so far has at most `memory // classes` exemplars, chosen by herding: each further
    exemplar brings the mean of the chosen embeddings nearest to the mean of the class. During a task, each step draws
    a batch of exemplars beside the task's images: they are classified among their own task's classes (`replay_loss`).
    The losses of [`Distilling`] compare them with the model before the task, over the prompts of all classes seen. The
    first task is plain fine-tuning. Images are classified by CLIP's prompts, not by the nearest mean of exemplars.

    Source: Rebuffi et al., CVPR 2017, algorithms 3 to 5, with the distillation of ZSCL's comparison on CLIP.

    Args:
        memory (`int`, defaults to 2000): Exemplars of all classes together, at most.
        replay_weight (`float`, defaults to 1.0): Weight of the classification of exemplars.
        kwargs: The options of [`Distilling`], [`Guided`] and [`Regularized`].
    """

    name: ClassVar[str] = "icarl"
    remembers: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = True
    citation: ClassVar[str] = """@inproceedings{rebuffi2017icarl,
  title = {{iCaRL}: Incremental Classifier and Representation Learning},
  author = {Rebuffi, Sylvestre-Alvise and Kolesnikov, Alexander and Sperl, Georg and Lampert, Christoph H.},
  booktitle = {CVPR},
  year = {2017}
}"""

    memory: Annotated[int, Ge(1)] = 2000
    replay_weight: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.exemplars: Exemplars | None = None

    def stream_problems(self, tasks: Sequence[Task]) -> list[str]:
        classes = sum(len(task.class_names or ()) for task in tasks)
        found = super().stream_problems(tasks)
        if self.memory < classes:
            found.append(
                f"memory: {self.memory} exemplars are fewer than the {classes} classes of the stream; give "
                f"methods.icarl.memory at least {classes}"
            )
        return found

    def begin_task(self, model: PreTrainedModel, context: TaskContext) -> None:
        self._context = context
        super().begin_task(model, context)

    def reference_frames(self, context: TaskContext) -> Exemplars | None:
        return self.exemplars

    def reference_texts(self, context: TaskContext) -> Tensor | None:
        return stack_texts(self.exemplars.prompts, context.input_ids) if self.exemplars else None

    def extra_texts(self) -> Tensor | None:
        return self.exemplars.prompts if self.exemplars and (self.replay_weight or self.student_texts) else None

    def student_reference_texts(self, embeddings: Embeddings) -> Tensor:
        return torch.cat([required(embeddings.extra_texts, "extra_texts"), embeddings.texts])

    def terms(self, model: nn.Module, embeddings: Embeddings, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        terms = super().terms(model, embeddings, batch)
        if self.exemplars and self.replay_weight:
            index, kept = batch["reference_index"], self.exemplars
            terms["replay_loss"] = self.replay_weight * losses.classification(
                required(embeddings.reference_images, "reference_images"),
                required(embeddings.extra_texts, "extra_texts"),
                embeddings.scale,
                kept.labels[index.cpu()].to(index.device),
                self.label_smoothing,
                kept.groups.to(index.device),
            )
        return terms

    def end_task(self, model: PreTrainedModel) -> PreTrainedModel:
        model, context = super().end_task(model), self._context
        features = embed_all_images(
            model, context.frames, context.normalize, context.accelerator,
            context.args.per_device_eval_batch_size, "exemplars",
        ).cpu()  # fmt: skip
        seen, prompts = 0, context.input_ids.cpu()
        groups = torch.full((len(prompts),), context.index)
        if self.exemplars:
            seen = len(self.exemplars.prompts)
            prompts = stack_texts(self.exemplars.prompts, prompts)
            groups = torch.cat([self.exemplars.groups, groups])
        per_class = self.memory // len(prompts)
        labels = torch.from_numpy(context.labels)
        rows_of = [(labels == label).nonzero()[:, 0] for label in range(len(prompts) - seen)]
        rows = torch.cat([rows[herd(features[rows], per_class)] for rows in rows_of])
        images, labels = context.frames.evaluation_batch(rows.numpy()), labels[rows] + seen
        if self.exemplars:
            earlier = self.exemplars.cut(per_class)
            images, labels = torch.cat([earlier.images, images]), torch.cat([earlier.labels, labels])
        self.exemplars = Exemplars(images, labels, prompts, groups)
        return model

    def state_dict(self) -> dict[str, Tensor]:
        return {**super().state_dict(), **with_prefix("exemplars", vars(self.exemplars) if self.exemplars else {})}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        super().load_state_dict(state)
        if kept := without_prefix("exemplars", state):
            self.exemplars = Exemplars(**{name: tensor.cpu() for name, tensor in kept.items()})


def herd(features: Tensor, count: int) -> Tensor:
    """Indices of the `count` rows whose running mean stays nearest to the mean of all, in the order they are chosen.

    Source: iCaRL (Rebuffi et al., CVPR 2017, algorithm 4).

    Args:
        features (`Tensor` of shape `[n, d]`): Embeddings of the images of one class.
        count (`int`): How many to choose; all where there are fewer.
    """
    mean, total = features.mean(dim=0), torch.zeros_like(features[:1].sum(dim=0))
    left, chosen = torch.ones(len(features), dtype=torch.bool), []
    for k in range(1, min(count, len(features)) + 1):
        distances = (mean - (total + features) / k).square().sum(dim=-1)
        best = int(distances.masked_fill(~left, torch.inf).argmin())
        left[best] = False
        total = total + features[best]
        chosen.append(best)
    return torch.tensor(chosen, dtype=torch.long)
