"""Launchers (DDP, FSDP2, DeepSpeed's ZeRO): whether a run can be launched as `accelerate launch` asks."""

from __future__ import annotations

from dataclasses import dataclass

from .fsdp import fsdp_problems, is_sharded
from .zero import asks_for_zero, zero_problems


@dataclass(frozen=True)
class LaunchNeeds:
    """What a run needs of its launcher, as plain values.

    Args:
        mixed_precision (`str`, defaults to `"no"`): `no`, `bf16` or `fp16`.
        adapters (`bool`, defaults to `False`): Whether only adapters (`peft`) are trained.
        trains_logit_scale (`bool`, defaults to `False`): Whether the temperature is trained.
        skips_nonfinite_steps (`bool`, defaults to `False`): Whether steps may be skipped.
        optimizers (`frozenset[str]`): Names of the optimizers of all tasks, as `TrainingArguments.optim` has them.
        moves_weights (`str`, *optional*): See [`~hf_clcl.methods.base.Method.moves_weights`].
        keeps_on_cpu (`str`, *optional*): See [`~hf_clcl.methods.base.Method.keeps_on_cpu`].
    """

    mixed_precision: str = "no"
    adapters: bool = False
    trains_logit_scale: bool = False
    skips_nonfinite_steps: bool = False
    optimizers: frozenset[str] = frozenset()
    moves_weights: str | None = None
    keeps_on_cpu: str | None = None


def launch_problems(needs: LaunchNeeds) -> list[str]:
    """What prevents a run from being sharded as the launcher asks, one line each; empty without FSDP and DeepSpeed.

    Args:
        needs (`LaunchNeeds`): What the run needs.
    """
    if asks_for_zero():
        return zero_problems(
            needs.mixed_precision, needs.adapters, needs.trains_logit_scale, needs.skips_nonfinite_steps,
            needs.optimizers, needs.moves_weights,
        )  # fmt: skip
    if is_sharded():
        return fsdp_problems(needs.adapters, needs.trains_logit_scale, needs.keeps_on_cpu)
    return []
