"""Loss functions of continual CLIP training: pure functions of tensors.

Notation: B images, C classes, M texts, d the width of an embedding. Embeddings are L2-normalised.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def classification(images: Tensor, class_texts: Tensor, scale: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy of images against the prompts of all classes of a task.

    Source: CLIP fine-tuning as in ZSCL (Zheng et al., ICCV 2023, section 5.1), image to text only.

    Args:
        images (`Tensor` of shape `[B, d]`): Image embeddings.
        class_texts (`Tensor` of shape `[C, d]`): Text embeddings, one a class.
        scale (`Tensor`, scalar): `exp(logit_scale)`.
        labels (`Tensor` of shape `[B]`): Class indices.
        smoothing (`float`): Label smoothing.
    """
    return F.cross_entropy(scale * images @ class_texts.T, labels, label_smoothing=smoothing)


def contrastive(images: Tensor, texts: Tensor, scale: Tensor) -> Tensor:
    """Symmetric contrastive loss of image-text pairs over the batches of all processes.

    Source: CLIP (Radford et al., 2021, figure 3). Each process computes the loss of its own rows against the columns
    of all, with gradients through the gathering, so that `n` processes of batch `B` equal one of batch `n * B`.

    Args:
        images (`Tensor` of shape `[B, d]`): Image embeddings.
        texts (`Tensor` of shape `[B, d]`): Text embeddings, row by row those of `images`.
        scale (`Tensor`, scalar): `exp(logit_scale)`.
    """
    all_images, all_texts, offset = images, texts, 0
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        from torch.distributed.nn.functional import all_gather

        all_images, all_texts = torch.cat(all_gather(images)), torch.cat(all_gather(texts))
        offset = torch.distributed.get_rank() * len(images)
    targets = torch.arange(offset, offset + len(images), device=images.device)
    image_to_text = F.cross_entropy(scale * images @ all_texts.T, targets)
    text_to_image = F.cross_entropy(scale * texts @ all_images.T, targets)
    return (image_to_text + text_to_image) / 2


def distillation(teacher_logits: Tensor, student_logits: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Knowledge distillation between rows of logits.

    `KD(t, s; T) = T^2 * mean_rows(-sum_j softmax(t / T)_j * log_softmax(s / T)_j)`

    Source: LwF (Li and Hoiem, 2016, eq. 2-3) in the form of ZSCL (eq. 3-4): cross-entropy, whose gradient is that of
    the Kullback-Leibler divergence.

    Args:
        teacher_logits (`Tensor` of shape `[rows, columns]`): Logits of the teacher, without gradient.
        student_logits (`Tensor` of shape `[rows, columns]`): Logits of the student.
        temperature (`float`): Both are divided by it.

    Returns:
        `tuple[Tensor, Tensor]`: The loss, and for logs the divergence alone, which is 0 where both agree.
    """
    target = F.softmax(teacher_logits / temperature, dim=-1)
    loss = -(target * F.log_softmax(student_logits / temperature, dim=-1)).sum(-1).mean() * temperature**2
    with torch.no_grad():
        entropy = torch.special.entr(target).sum(-1).mean() * temperature**2
    return loss, (loss - entropy).detach()


def feature_mse(teacher: Tensor, student: Tensor) -> Tensor:
    """Mean squared error between the normalised image embeddings of teacher and student, both `[B, d]`.

    Source: the feature-distance ablation of ZSCL (Zheng et al., ICCV 2023, table 4).
    """
    return F.mse_loss(student, teacher)


def relational(teacher: Tensor, student: Tensor, scale: Tensor, temperature: float) -> Tensor:
    """Distillation of the similarities among the images of a batch, without each image's similarity to itself.

    Source: the image-image ablation of ZSCL (Zheng et al., ICCV 2023, table 4).

    Args:
        teacher, student (`Tensor` of shape `[B, d]`): Normalised image embeddings.
        scale (`Tensor`, scalar): `exp(logit_scale)`.
        temperature (`float`): As in [`distillation`].
    """
    others = ~torch.eye(len(student), dtype=torch.bool, device=student.device)

    def similarities(embeddings: Tensor) -> Tensor:
        return (scale * embeddings @ embeddings.T)[others].view(len(embeddings), -1)

    return distillation(similarities(teacher), similarities(student), temperature)[0]


class _SquaredDistance(torch.autograd.Function):
    """`sum_p sum((theta_p - start_p)^2)` as one node of the graph; its gradient is `2 * (theta - start)`."""

    @staticmethod
    def forward(ctx, count: int, *tensors: Tensor) -> Tensor:  # type: ignore[override]
        differences = torch._foreach_sub(tensors[:count], tensors[count:])
        ctx.save_for_backward(*differences)
        return torch.stack(torch._foreach_norm(differences)).square().sum()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        gradients = torch._foreach_mul(ctx.saved_tensors, 2 * gradient)
        return (None, *gradients, *[None] * len(gradients))


def squared_distance(parameters: Sequence[Tensor], start: Sequence[Tensor]) -> Tensor:
    """Squared L2 distance between parameters and their anchor, summed over all entries.

    Source: the weight consolidation (WC) of ZSCL (Zheng et al., ICCV 2023, section 4.2).

    Args:
        parameters (`Sequence[Tensor]`): What learns.
        start (`Sequence[Tensor]`): The anchor, tensor by tensor of the same shapes.
    """
    return _SquaredDistance.apply(len(parameters), *parameters, *start)
