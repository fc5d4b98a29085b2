"""Loss functions of continual learning with dual encoders: pure functions of tensors.

Notation: B images, C classes, M texts, d the width of an embedding. Embeddings are L2-normalised.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..distributed.tensors import gather_rows
from ..utils.blocks import cache_sized_chunks


def classification(
    images: Tensor,
    class_texts: Tensor,
    scale: Tensor,
    labels: Tensor,
    smoothing: float,
    class_groups: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of images against the prompts of all classes of their task.

    Source: CLIP fine-tuning as in ZSCL (Zheng et al., ICCV 2023), image to text only.

    Args:
        images (`Tensor` of shape `[B, d]`): Image embeddings.
        class_texts (`Tensor` of shape `[C, d]`): Text embeddings, one per class.
        scale (`Tensor`, scalar): Scale of the similarities of the model.
        labels (`Tensor` of shape `[B]`): Class indices.
        smoothing (`float`): Label smoothing.
        class_groups (`Tensor` of shape `[C]`, *optional*):
            The task of each class, in order, if there are several tasks: an image is classified among the classes of
            its own task.
    """
    logits = scale * images @ class_texts.T
    if class_groups is None:
        return F.cross_entropy(logits, labels, label_smoothing=smoothing)
    group_of, total = class_groups[labels], logits.new_zeros(())
    for group in group_of.unique():
        rows, columns = group_of == group, class_groups == group
        own = labels[rows] - columns.int().argmax()
        total = total + F.cross_entropy(logits[rows][:, columns], own, label_smoothing=smoothing, reduction="sum")
    return total / len(labels)


def contrastive(images: Tensor, texts: Tensor, scale: Tensor) -> Tensor:
    """Symmetric contrastive loss of image-text pairs over the batches of all processes.

    Source: CLIP (Radford et al., 2021, figure 3). Each process computes the loss of its own rows against the columns
    of all, with gradients through the gather. So `n` processes with batch `B` equal one process with batch `n * B`.

    Args:
        images (`Tensor` of shape `[B, d]`): Image embeddings.
        texts (`Tensor` of shape `[B, d]`): Text embeddings; row `i` describes image `i`.
        scale (`Tensor`, scalar): Scale of the similarities of the model.
    """
    all_images, all_texts = gather_rows(images), gather_rows(texts)
    offset = torch.distributed.get_rank() * len(images) if len(all_images) > len(images) else 0
    targets = torch.arange(offset, offset + len(images), device=images.device)
    image_to_text = F.cross_entropy(scale * images @ all_texts.T, targets)
    text_to_image = F.cross_entropy(scale * texts @ all_images.T, targets)
    return (image_to_text + text_to_image) / 2


def distillation(
    teacher_logits: Tensor, student_logits: Tensor, temperature: float, reverse: bool = False
) -> tuple[Tensor, Tensor]:
    """Knowledge distillation between rows of logits.

    `KD(t, s; T) = T^2 * mean_rows(-sum_j softmax(t / T)_j * log_softmax(s / T)_j)`

    Source: LwF (Li and Hoiem, 2016) in the form of ZSCL: cross-entropy, whose gradient is that of
    the Kullback-Leibler divergence.

    Args:
        teacher_logits (`Tensor` of shape `[rows, columns]`): Logits of the teacher, without gradient.
        student_logits (`Tensor` of shape `[rows, columns]`): Logits of the student.
        temperature (`float`): Divides both logits.
        reverse (`bool`, defaults to `False`):
            Use the divergence `T^2 * KL(student || teacher)` instead. It is mode-seeking: the student avoids what the
            teacher finds unlikely.

    Returns:
        `tuple[Tensor, Tensor]`: The loss, and for logs the divergence, which is 0 if both agree.
    """
    log_target = F.log_softmax(teacher_logits / temperature, dim=-1)
    log_student = F.log_softmax(student_logits / temperature, dim=-1)
    if reverse:
        loss = (log_student.exp() * (log_student - log_target)).sum(-1).mean() * temperature**2
        return loss, loss.detach()
    target = log_target.exp()
    loss = -(target * log_student).sum(-1).mean() * temperature**2
    with torch.no_grad():
        entropy = torch.special.entr(target).sum(-1).mean() * temperature**2
    return loss, (loss - entropy).detach()


def feature_mse(teacher: Tensor, student: Tensor) -> Tensor:
    """Mean squared error between the normalised image embeddings of teacher and student, both `[B, d]`.

    Source: the feature-distance ablation of ZSCL (Zheng et al., ICCV 2023).
    """
    return F.mse_loss(student, teacher)


def relational(teacher: Tensor, student: Tensor, scale: Tensor, temperature: float) -> Tensor:
    """Distillation of the similarities among the images of a batch, without each image's similarity to itself.

    Source: the image-image ablation of ZSCL (Zheng et al., ICCV 2023).

    Args:
        teacher, student (`Tensor` of shape `[B, d]`): Normalised image embeddings.
        scale (`Tensor`, scalar): Scale of the similarities of the model.
        temperature (`float`): See [`distillation`].
    """
    others = ~torch.eye(len(student), dtype=torch.bool, device=student.device)

    def similarities(embeddings: Tensor) -> Tensor:
        return (scale * embeddings @ embeddings.T)[others].view(len(embeddings), -1)

    return distillation(similarities(teacher), similarities(student), temperature)[0]


def relational_distance(teacher: Tensor, student: Tensor) -> Tensor:
    """Difference of the pairwise distances among embeddings, divided by their mean.

    `sum_(i, j) huber(|s_i - s_j| / mean - |t_i - t_j| / mean')`, averaged over the pairs.

    Source: RKD-D (Park et al., CVPR 2019).

    Args:
        teacher, student (`Tensor` of shape `[B, d]`): Embeddings of the same images.
    """

    def distances(embeddings: Tensor) -> Tensor:
        pairs = torch.triu_indices(len(embeddings), len(embeddings), offset=1, device=embeddings.device)
        squared = (embeddings[pairs[0]] - embeddings[pairs[1]]).square().sum(-1)
        lengths = squared.clamp(min=1e-12).sqrt()  # the square root has no gradient at zero
        return lengths / lengths.mean()

    return F.smooth_l1_loss(distances(student), distances(teacher))


def relational_angle(teacher: Tensor, student: Tensor) -> Tensor:
    """Difference of the angles that triplets of embeddings form.

    `sum_(i, j, k) huber(cos of the angle at s_j between s_i and s_k - the same for t)`, averaged over the triplets of
    different embeddings.

    Source: RKD-A (Park et al., CVPR 2019).

    Args:
        teacher, student (`Tensor` of shape `[B, d]`): Embeddings of the same images.
    """
    size = len(student)
    i, j, k = torch.meshgrid(*[torch.arange(size, device=student.device)] * 3, indexing="ij")
    different = (i != j) & (j != k) & (i != k)

    def cosines(embeddings: Tensor) -> Tensor:
        directions = F.normalize(embeddings[None, :] - embeddings[:, None], dim=-1)  # [vertex, end, d]
        return torch.einsum("jid,jkd->ijk", directions, directions)[different]

    return F.smooth_l1_loss(cosines(student), cosines(teacher))


@torch.no_grad()
def geodesic_flow(teacher: Tensor, student: Tensor, dimensions: int) -> Tensor:
    """The similarity integrated along the geodesic between the feature subspaces of teacher and student.

    With orthonormal bases `P` and `P'` of the two subspaces, `P^T P' = U cos(theta) V^T`; the geodesic from the
    principal vector `a = P U` to `b = P' V` is `g(tau) = cos(tau theta) a + sin(tau theta) c` with
    `c = (b - cos(theta) a) / sin(theta)`, and `Q = sum over principal vectors of the integral of g g^T` over `tau`
    from 0 to 1, in closed form.

    Source: GeoDL (Simon et al., CVPR 2021), whose similarity is the geodesic flow kernel of Gong et al. (CVPR 2012).

    Args:
        teacher, student (`Tensor` of shape `[B, d]`): Embeddings of the same images.
        dimensions (`int`): Dimensions of the subspaces, at most `min(B, d)`.

    Returns:
        `Tensor`: `Q` of shape `[d, d]`, symmetric and positive semi-definite.
    """

    def basis(embeddings: Tensor) -> Tensor:
        return torch.linalg.svd(embeddings.float(), full_matrices=False).Vh[:dimensions].T

    old, new = basis(teacher), basis(student)
    u, cosine, vh = torch.linalg.svd(old.T @ new)
    a, b = old @ u, new @ vh.T
    c = b - a * cosine
    theta = torch.atan2(c.norm(dim=0), cosine)  # near 0 an arc cosine loses half of the digits
    c = F.normalize(c, dim=0)
    wave = torch.sinc(2 * theta / torch.pi)  # sin(2 theta) / (2 theta), 1 at 0
    along, across = (1 + wave) / 2, (1 - wave) / 2
    between = theta.sin() * torch.sinc(theta / torch.pi) / 2  # sin^2(theta) / (2 theta)
    mixed = (a * between) @ c.T
    return (a * along) @ a.T + mixed + mixed.T + (c * across) @ c.T


def geodesic_distillation(teacher: Tensor, student: Tensor, dimensions: int) -> Tensor:
    """`1 - mean_i <s_i, t_i>_Q / (|s_i|_Q |t_i|_Q)` with `Q` of [`geodesic_flow`], through which no gradient flows.

    Source: the distillation loss of GeoDL (Simon et al., CVPR 2021).

    Args:
        teacher, student (`Tensor` of shape `[B, d]`): Embeddings of the same images.
        dimensions (`int`): Dimensions of the subspaces.
    """
    flow = geodesic_flow(teacher, student.detach(), min(dimensions, *student.shape))

    def product(x: Tensor, y: Tensor) -> Tensor:
        return ((x @ flow) * y).sum(-1)

    norms = (product(student, student) * product(teacher, teacher)).clamp(min=1e-12).sqrt()
    return 1 - (product(student, teacher) / norms).mean()


_SUM = 2  # the reduction "sum" in `torch`


class _SquaredDistance(torch.autograd.Function):
    """`sum_p sum(w_p * (theta_p - start_p)^2)` as one autograd node; its gradient is `2 w (theta - start)`."""

    @staticmethod
    def forward(ctx, count: int, *tensors: Tensor) -> Tensor:  # type: ignore[override]
        ctx.count = count
        ctx.save_for_backward(*tensors)
        groups = zip(*(tensors[start : start + count] for start in range(0, len(tensors), count)), strict=True)
        # A dot product in fp32 would lose the fourth digit of a sum of millions.
        parts = [_squares(*part) for group in groups for part in cache_sized_chunks(*group)]
        return torch.stack(parts).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        tensors, count = ctx.saved_tensors, ctx.count
        gradients = [torch.empty_like(theta) for theta in tensors[:count]]
        for theta, start, slope in zip(tensors, tensors[count:], gradients, strict=False):
            torch.ops.aten.mse_loss_backward.grad_input(gradient, theta, start, _SUM, grad_input=slope)
        if len(tensors) > 2 * count:
            torch._foreach_mul_(gradients, tensors[2 * count :])
        return (None, *gradients, *[None] * (len(tensors) - count))


def _squares(theta: Tensor, start: Tensor, importance: Tensor | None = None) -> Tensor:
    squares = (theta - start).square_()
    return (squares if importance is None else squares.mul_(importance)).sum()


def squared_distance(
    parameters: Sequence[Tensor], start: Sequence[Tensor], importance: Sequence[Tensor] | None = None
) -> Tensor:
    """Squared distance between parameters and their anchor, summed over all entries.

    Source: the weight consolidation (WC) of ZSCL (Zheng et al., ICCV 2023); with an importance for each
    entry, EWC (Kirkpatrick et al., 2017).

    Args:
        parameters (`Sequence[Tensor]`): The trainable parameters.
        start (`Sequence[Tensor]`): The anchor, in the same order and shapes.
        importance (`Sequence[Tensor]`, *optional*): A weight for each entry, in the same order and shapes.
    """
    return _SquaredDistance.apply(len(parameters), *parameters, *start, *(importance or ()))
