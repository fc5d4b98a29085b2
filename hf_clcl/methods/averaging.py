"""Weight averaging: along one task as a callback, and merges of two models by parameter name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..distributed.tensors import full_tensor, local_shard, shard


def trainable_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """The trainable parameters, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


@torch.no_grad()
def copy_parameters(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the trainable parameters, by name; it shares no storage with the model."""
    return {name: parameter.detach().clone() for name, parameter in trainable_parameters(model).items()}


@torch.no_grad()
def load_parameters(model: nn.Module, values: dict[str, Tensor]) -> None:
    """Write values into the parameters and buffers of these names."""
    own = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    torch._foreach_copy_([own[name] for name in values], list(values.values()))


@torch.no_grad()
def interpolate(start: dict[str, Tensor], end: dict[str, Tensor], weight: float) -> dict[str, Tensor]:
    """`(1 - weight) * start + weight * end`, parameter by parameter.

    Source: WiSE-FT (Wortsman et al., 2022).
    """
    return dict(zip(start, torch._foreach_lerp(list(start.values()), [end[n] for n in start], weight), strict=True))


def with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under `<prefix>.<name>`, so that several sets of them fit into one state."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a state whose names have a prefix, under the names without it."""
    return {n.removeprefix(f"{prefix}."): tensor for n, tensor in state.items() if n.startswith(f"{prefix}.")}


# How a kind of averaging moves, and its decay where none is given.
AVERAGING_DECAY = {
    "uniform": 1.0, "mixed": 0.98, "exponential": 0.999,
    "towards_start": 0.999, "towards_snapshot": 0.999, "towards_pulled": 0.999, "towards_zero_shot": 0.999,
}  # fmt: skip


class WeightAveraging(TrainerCallback):
    """Average of the weights along one task, or a pull on them.

    After each step `k` (counted from 0) with `k % interval == 0`, and after the last step where `last` is set, `theta`
    being the weights of the model:

    - `uniform`: `n += 1`, then `average = (n * average + theta) / (n + 1)`, from `n = 0` and the task's start. This is
      the weight ensemble (WE) of ZSCL (Zheng et al., ICCV 2023).
    - `mixed`: the same, then `average = decay * average + (1 - decay) * start`.
    - `exponential`: `average = decay * average + (1 - decay) * theta`.
    - `towards_start`, `towards_snapshot`, `towards_pulled`, `towards_zero_shot`: the model itself is pulled,
      `theta = decay * theta + (1 - decay) * target`, towards its weights at the start of the task, just before the
      previous pull (as in the public code of ZSCL), just after it, or before the first task.

    An average does not change the model during the task; it replaces the weights when the task ends. Where the weights
    are sharded (FSDP), so is the average: each rank averages its shards.

    Args:
        interval (`int`): Optimiser steps between two updates.
        kind (`str`, defaults to `"uniform"`): One of the above.
        decay (`float`, *optional*): 0.98 for `mixed`, 0.999 for the kinds below it, where not given.
        buffers (`bool`, defaults to `False`): Average floating-point buffers too. CLIP has none.
        device (`str`, *optional*): Device of averages and targets, `"cpu"` to save memory of the accelerator; the
            device of the model where not given.
        last (`bool`, defaults to `False`): Update after the last step of the task too.
    """

    def __init__(
        self,
        interval: int,
        kind: str = "uniform",
        decay: float | None = None,
        buffers: bool = False,
        device: str | None = None,
        last: bool = False,
    ):
        if kind not in AVERAGING_DECAY:
            raise ValueError(f"no averaging {kind!r}; there are {', '.join(AVERAGING_DECAY)}")
        self.interval, self.rule, self.buffers, self.device = interval, kind, buffers, device
        self.last = last
        self.decay = AVERAGING_DECAY[kind] if decay is None else decay
        self.count = 0
        self.kept: dict[str, Tensor] = {}  # the average, or the target of a pull
        self.anchor: dict[str, Tensor] = {}

    @property
    def pulls(self) -> bool:
        """Whether the model itself is moved."""
        return self.rule.startswith("towards_")

    def start(self, model: nn.Module, zero_shot: Mapping[str, Tensor] | None = None) -> None:
        """Begin a task.

        Args:
            model (`nn.Module`): The model at the start of the task.
            zero_shot (`Mapping[str, Tensor]`, *optional*): Weights of the initial CLIP, for `towards_zero_shot`.
        """
        values = self._values(model)
        if self.rule == "towards_zero_shot":
            if zero_shot is None:
                raise ValueError("towards_zero_shot needs the weights of the initial CLIP")
            values = {name: zero_shot[name] for name in values}
        device = self.device or next(iter(values.values())).device
        self.count = 0
        self.kept = {name: value.detach().to(device, copy=True) for name, value in values.items()}
        self.anchor = {name: value.clone() for name, value in self.kept.items()} if self.rule == "mixed" else {}

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        at_end = self.last and state.global_step >= state.max_steps
        if at_end or (state.global_step - 1) % self.interval == 0:
            self.update(kwargs["model"])

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take the model's present weights into the average, or pull them."""
        self.count += 1
        values = self._values(model)
        like = [values[name].detach() for name in self.kept]
        shard(self.kept, like)
        theta, kept = [local_shard(own) for own in like], [local_shard(tensor) for tensor in self.kept.values()]
        if self.pulls:
            target = [tensor.to(own.device) for tensor, own in zip(kept, theta, strict=True)]
            before = [own.clone() for own in theta] if self.rule == "towards_snapshot" else theta
            torch._foreach_lerp_(theta, target, 1 - self.decay)
            if self.rule in ("towards_snapshot", "towards_pulled"):
                torch._foreach_copy_(kept, before)
            return
        share = 1 - self.decay if self.rule == "exponential" else 1 / (self.count + 1)
        torch._foreach_lerp_(kept, [own.to(tensor.device) for tensor, own in zip(kept, theta, strict=True)], share)
        if self.rule == "mixed":
            shard(self.anchor, like)
            torch._foreach_lerp_(kept, [local_shard(tensor) for tensor in self.anchor.values()], 1 - self.decay)

    def finish(self, model: nn.Module) -> None:
        """Give the model the averaged weights."""
        if not self.pulls:
            load_parameters(model, {name: full_tensor(tensor) for name, tensor in self.kept.items()})
        self.kept, self.anchor = {}, {}

    def state_dict(self) -> dict[str, Tensor]:
        """State to resume within a task; empty between two tasks. `start` copies the initial weights of a task again."""
        return {"count": torch.tensor(self.count), **with_prefix("average", self.kept)} if self.kept else {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        if "count" in state:
            self.count = int(state["count"])
            load = without_prefix("average", state)
            torch._foreach_copy_(list(self.kept.values()), [load[name] for name in self.kept])

    def _values(self, model: nn.Module) -> dict[str, Tensor]:
        buffers = {n: b for n, b in model.named_buffers() if b.is_floating_point()} if self.buffers else {}
        return {**trainable_parameters(model), **buffers}
