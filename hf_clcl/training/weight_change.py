"""How far training moved the weights of a model: a task that changes nothing must not pass unnoticed."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

SAMPLED = 2**16  # weights of one tensor that are compared, evenly spaced; all of them in a smaller tensor


class WeightChange:
    """The trained weights of a model at one time, to be compared with those at a later time.

    Large tensors are sampled, so that the copy takes some megabytes instead of the size of the model; LayerNorms and
    biases of a CLIP are compared as a whole.

    Args:
        model (`nn.Module`): The model at the start; parameters that are not trained are left out.
    """

    def __init__(self, model: nn.Module):
        self._start = _samples(model)

    def relative(self, model: nn.Module) -> float:
        """`|theta - theta_start| / |theta_start|` over the trained parameters, estimated from the sample.

        It is exactly 0 where all compared weights are the same as before.

        Args:
            model (`nn.Module`): The same model later, with the same names of parameters.
        """
        moved = size = 0.0
        parameters = dict(model.named_parameters())
        for name, (start, stride) in self._start.items():
            if name not in parameters:
                continue  # a method of one's own may return another model
            end, _ = _sample(parameters[name])
            moved += stride * float((end.double() - start.double()).square().sum())
            size += stride * float(start.double().square().sum())
        return math.sqrt(moved / (size or moved)) if moved else 0.0


@torch.no_grad()
def _sample(parameter: Tensor) -> tuple[Tensor, int]:
    stride = math.ceil(parameter.numel() / SAMPLED) or 1
    return parameter.detach().reshape(-1)[::stride].to("cpu", copy=True), stride


def _samples(model: nn.Module) -> dict[str, tuple[Tensor, int]]:
    return {name: _sample(p) for name, p in model.named_parameters() if p.requires_grad}
