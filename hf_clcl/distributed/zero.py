"""DeepSpeed's ZeRO, stages 1 and 2: whether the launcher asks for it, and what prevents a run from using it.

Each rank keeps all weights under their own names. Stage 1 shards optimizer states, stage 2 gradients too. On each rank
the optimizer updates a copy of its shard of the weights, and all ranks receive the result. Code that reads the weights
after a step works as on one device. Code that changes them between two steps is undone by the next step.
"""

from __future__ import annotations

import os
from collections.abc import Collection

from accelerate.utils import is_deepspeed_available

from ..utils.names import launch_file

CONFIGURATION = launch_file("deepspeed_zero2")
INSTEAD = f"use {launch_file('fsdp')}, which shards the same, or several_gpus.yaml"
# Settings of the launcher with the only value that they may have, and why.
LEFT_OUT = {
    "ACCELERATE_DEEPSPEED_CONFIG_FILE": ("none", "deepspeed_config_file", "it would override the recipe"),
    "ACCELERATE_GRADIENT_CLIPPING": ("auto", "gradient_clipping", "the recipe sets it: max_grad_norm"),
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": ("auto", "gradient_accumulation_steps", "the recipe sets it"),
    "ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE": (
        "none",
        "offload_optimizer_device",
        "it needs another optimizer",
    ),
    "ACCELERATE_DEEPSPEED_OFFLOAD_PARAM_DEVICE": ("none", "offload_param_device", "weights stay on the device"),
}
# Optimizers that update each weight on its own. DeepSpeed passes all weights as one vector, without their shapes.
OPTIMIZERS = ("adamw_torch", "adamw_torch_fused", "sgd", "rmsprop")


def asks_for_zero() -> bool:
    """Whether the launcher asks for DeepSpeed."""
    return os.environ.get("ACCELERATE_USE_DEEPSPEED", "false").lower() == "true"


def missing() -> list[str]:
    """One line if the launcher asks for DeepSpeed and it is not installed, else none."""
    if not asks_for_zero() or is_deepspeed_available():
        return []
    return [f'DeepSpeed: is not installed: pip install "hf-clcl[deepspeed]" (or pip install deepspeed); or {INSTEAD}']


def zero_problems(
    mixed_precision: str,
    adapters: bool,
    trains_logit_scale: bool,
    skips_nonfinite_steps: bool,
    optimizers: Collection[str],
    moves_weights: str | None,
) -> list[str]:
    """What prevents a run from sharding its optimizer, one line each.

    Args:
        mixed_precision, adapters, trains_logit_scale, skips_nonfinite_steps, optimizers, moves_weights:
            See [`~hf_clcl.distributed.launcher.LaunchNeeds`].
    """
    stage = os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE", "2")
    problems = []
    if stage not in ("1", "2"):
        reason = "shards the weights, which methods read by name" if stage == "3" else "shards nothing"
        problems.append(f"zero_stage: must be 1 or 2, got {stage}, which {reason}; {INSTEAD}")
    problems += [
        f"{key}: must be left out, got {os.environ[name]}: {reason}; see {CONFIGURATION}"
        for name, (allowed, key, reason) in LEFT_OUT.items()
        if os.environ.get(name, allowed).lower() != allowed
    ]
    if mixed_precision != "no":
        problems.append(
            f"{mixed_precision}: DeepSpeed would keep the weights, averages and anchors in {mixed_precision}; "
            f"leave it out, or {INSTEAD}"
        )
    if adapters:
        problems.append(f"peft: adapters are small and are not sharded; use {launch_file('several_gpus')}")
    if trains_logit_scale:
        problems.append("train_logit_scale: DeepSpeed cannot train a scalar; leave it out, or use several_gpus.yaml")
    if skips_nonfinite_steps:
        problems.append(
            "skip_nonfinite_steps: DeepSpeed takes the step in its backward pass and cannot skip it; leave it out: "
            "the first such step stops the task"
        )
    if moves_weights is not None:
        problems.append(
            f"{moves_weights} changes the weights, but DeepSpeed's optimizer has a copy of them and restores it in "
            f"the next step; choose another value, or {INSTEAD}"
        )
    problems += [
        f"optim: {name} cannot be sharded by DeepSpeed, which passes it all weights as one vector; choose one of "
        f"{', '.join(OPTIMIZERS)}"
        for name in sorted({*optimizers} - {*OPTIMIZERS})
    ]
    return problems
