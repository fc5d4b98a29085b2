"""The diagonal of the Fisher information, which EWC and IMM weigh parameters by."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..models.embedding import embed_images, embed_texts
from ..models.families import family_of
from ..utils.required import required
from .averaging import trainable_parameters
from .base import TaskContext

FISHER = 1013  # sets these random numbers apart from those of batches


def diagonal_fisher(model: PreTrainedModel, context: TaskContext, samples: int) -> dict[str, Tensor]:
    """`mean_x E_(y ~ p(y | x)) (d log p(y | x) / d theta)^2` for each parameter that learns, by name.

    Labels are drawn from the model's own predictions, as the Fisher information has it. Then the gradients of
    different images are independent with mean zero, so the square of a batch's summed gradient has the expectation of
    the sum of the squares: one backward a batch, not one an image. In a task of captions, an image is classified among
    the captions of its batch, one for each image. A batch is that of a training step: the part of all processes.

    Source: EWC (Kirkpatrick et al., PNAS 2017), its `F_i`.

    Args:
        model (`PreTrainedModel`): The model after a task.
        context (`TaskContext`): The task; its class prompts give the classes.
        samples (`int`): Images to look at, drawn from the task's.
    """
    rng = np.random.default_rng((*context.seed, FISHER))
    rows = np.sort(rng.permutation(len(context.frames))[:samples])
    chances = torch.from_numpy(rng.random(len(rows)))
    accelerator = context.accelerator
    size = context.args.per_device_train_batch_size * accelerator.num_processes
    model.eval()
    parameters = list(trainable_parameters(model).values())
    fisher = [torch.zeros_like(parameter) for parameter in parameters]
    for start in range(0, len(rows), size):
        batch = rows[start : start + size]
        share = slice(accelerator.process_index, None, accelerator.num_processes)
        gradients = [torch.zeros_like(parameter) for parameter in parameters]
        if len(batch[share]):
            frames = context.frames.evaluation_batch(batch[share]).to(model.device)
            images = embed_images(model, context.normalize(frames))
            input_ids = context.input_ids if context.captions_of is None else _captions(context, batch)
            texts = embed_texts(model, input_ids.to(model.device))
            log_probabilities = (family_of(model).similarity_scale(model) * images @ texts.T).log_softmax(-1)
            labels = _drawn(log_probabilities.detach(), chances[start : start + size][share])
            gradients = list(torch.autograd.grad(log_probabilities.gather(1, labels[:, None]).sum(), parameters))
        if accelerator.num_processes > 1:
            gradients = accelerator.reduce(list(gradients), reduction="sum")
        torch._foreach_addcmul_(fisher, gradients, gradients, value=1 / len(rows))
    return dict(zip(trainable_parameters(model), fisher, strict=True))


def _drawn(log_probabilities: Tensor, chances: Tensor) -> Tensor:
    """A column of each row, drawn from its distribution by a number from 0 to 1 of its own."""
    ends = log_probabilities.double().exp().cumsum(dim=-1)
    columns = torch.searchsorted(ends, chances.to(ends.device)[:, None])[:, 0]
    return columns.clamp(max=ends.shape[1] - 1)


def _captions(context: TaskContext, rows: np.ndarray) -> Tensor:
    """Token ids of one caption of each image, drawn from the seed."""
    captions_of = required(context.captions_of, "captions_of")
    drawn = [np.random.default_rng((*context.seed, FISHER, row)).choice(captions_of[row]) for row in rows]
    return context.input_ids[drawn]
