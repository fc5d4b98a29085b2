"""Weight averaging: along one task as a callback, and merges of two models by parameter name."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


def trainable_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that learn, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


@torch.no_grad()
def copy_parameters(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the parameters that learn, by name; it shares no storage with the model."""
    return {name: parameter.detach().clone() for name, parameter in trainable_parameters(model).items()}


@torch.no_grad()
def load_parameters(model: nn.Module, values: dict[str, Tensor]) -> None:
    """Write values into the parameters of these names."""
    parameters = dict(model.named_parameters())
    torch._foreach_copy_([parameters[name] for name in values], list(values.values()))


@torch.no_grad()
def interpolate(start: dict[str, Tensor], end: dict[str, Tensor], weight: float) -> dict[str, Tensor]:
    """`(1 - weight) * start + weight * end`, parameter by parameter.

    Source: WiSE-FT (Wortsman et al., 2022, eq. 1).
    """
    return dict(zip(start, torch._foreach_lerp(list(start.values()), [end[n] for n in start], weight), strict=True))


class WeightAveraging(TrainerCallback):
    """Average of the weights along one task; the model itself trains on undisturbed.

    Source: weight ensemble (WE) of ZSCL (Zheng et al., ICCV 2023, eq. 6). It starts at the weights of the task's
    start with `n = 0`; after the step `k` (counted from 0) of each `k % interval == 0`, `n += 1` and
    `average = (n * average + theta) / (n + 1)`.

    Args:
        interval (`int`): Optimiser steps between two snapshots.
    """

    def __init__(self, interval: int):
        self.interval = interval
        self.count = 0
        self.average: dict[str, Tensor] = {}

    def start(self, model: nn.Module) -> None:
        """Begin a task: the average is a copy of the model's weights."""
        self.count, self.average = 0, copy_parameters(model)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: nn.Module, **kwargs: object
    ) -> None:
        if (state.global_step - 1) % self.interval == 0:
            self.update(model)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take the model's present weights into the average."""
        self.count += 1
        parameters = trainable_parameters(model)
        torch._foreach_lerp_(
            list(self.average.values()), [parameters[name].detach() for name in self.average], 1 / (self.count + 1)
        )

    def finish(self, model: nn.Module) -> None:
        """Give the model the averaged weights."""
        load_parameters(model, self.average)
        self.average = {}

    def state_dict(self) -> dict[str, Tensor]:
        if not self.average:
            return {}  # between two tasks
        return {"count": torch.tensor(self.count), **{f"average.{name}": t for name, t in self.average.items()}}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        if not state:
            return
        self.count = int(state["count"])
        load = {name.removeprefix("average."): t for name, t in state.items() if name.startswith("average.")}
        for name, tensor in self.average.items():
            tensor.copy_(load[name])
