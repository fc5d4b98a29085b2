"""DeepSpeed's ZeRO, stages 1 and 2: whether the launcher asks for it, and what it cannot do.

Both keep all weights in each process, under their own names; optimiser states (1) and gradients (2) are divided. The
optimiser steps on a copy of its part of the weights, which all then receive: what reads the weights after a step works
as on one device, and what moves them between two steps would be undone by the next.
"""

from __future__ import annotations

import os
from collections.abc import Collection

from accelerate.utils import is_deepspeed_available

from ..utils.names import launch_file

CONFIGURATION = launch_file("deepspeed_zero2")
INSTEAD = f"use {launch_file('fsdp')}, which divides the same, or several_gpus.yaml"
# What the launcher may not say (any other value than these), and why.
LEFT_OUT = {
    "ACCELERATE_DEEPSPEED_CONFIG_FILE": ("none", "deepspeed_config_file", "it would overrule the recipe"),
    "ACCELERATE_GRADIENT_CLIPPING": ("auto", "gradient_clipping", "the recipe says it: max_grad_norm"),
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": ("auto", "gradient_accumulation_steps", "the recipe says it"),
    "ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE": (
        "none",
        "offload_optimizer_device",
        "it needs another optimiser",
    ),
    "ACCELERATE_DEEPSPEED_OFFLOAD_PARAM_DEVICE": ("none", "offload_param_device", "weights lie on the device"),
}
# Optimisers that treat each weight by itself: those that look at a whole matrix would see all of them as one vector.
OPTIMISERS = ("adamw_torch", "adamw_torch_fused", "sgd", "rmsprop")


def asks_for_zero() -> bool:
    """Whether the launcher asks for DeepSpeed."""
    return os.environ.get("ACCELERATE_USE_DEEPSPEED", "false").lower() == "true"


def missing() -> list[str]:
    """That DeepSpeed is not installed, where the launcher asks for it; a line or none."""
    if not asks_for_zero() or is_deepspeed_available():
        return []
    return [
        f'DeepSpeed: it is not installed: pip install "hf-clcl[deepspeed]" (or pip install deepspeed); or {INSTEAD}'
    ]


def zero_problems(
    mixed_precision: str,
    adapters: bool,
    trains_logit_scale: bool,
    skips_nonfinite_steps: bool,
    optimizers: Collection[str],
    moves_weights: str | None,
) -> list[str]:
    """What keeps a run from sharding its optimizer, one line each.

    Args:
        mixed_precision, adapters, trains_logit_scale, skips_nonfinite_steps, optimizers, moves_weights:
            See [`~hf_clcl.distributed.launcher.LaunchNeeds`].
    """
    stage = os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE", "2")
    found = []
    if stage not in ("1", "2"):
        reason = "divides the weights, which methods read by name" if stage == "3" else "divides nothing"
        found.append(f"zero_stage: must be 1 or 2, found {stage}, which {reason}; {INSTEAD}")
    found += [
        f"{key}: leave it out, found {os.environ[name]}: {reason}; see {CONFIGURATION}"
        for name, (allowed, key, reason) in LEFT_OUT.items()
        if os.environ.get(name, allowed).lower() != allowed
    ]
    if mixed_precision != "no":
        found.append(
            f"{mixed_precision}: DeepSpeed would keep the weights themselves in {mixed_precision}, and "
            f"averages and anchors with them; leave it out, or {INSTEAD}"
        )
    if adapters:
        found.append(f"peft: adapters are small and are not divided; use {launch_file('several_gpus')}")
    if trains_logit_scale:
        found.append("train_logit_scale: DeepSpeed takes no single number as a weight; leave it out, or use "
                     "several_gpus.yaml")  # fmt: skip
    if skips_nonfinite_steps:
        found.append("skip_nonfinite_steps: DeepSpeed's backward takes the step too; leave it out: the first stops "
                     "the task")  # fmt: skip
    if moves_weights is not None:
        found.append(
            f"{moves_weights} moves the weights, of which DeepSpeed's optimiser has a copy "
            f"that the next step would bring back; choose another kind, or {INSTEAD}"
        )
    found += [
        f"optim: {name} cannot be divided by DeepSpeed, which hands it all weights as one vector; choose one of "
        f"{', '.join(OPTIMISERS)}"
        for name in sorted({*optimizers} - {*OPTIMISERS})
    ]
    return found
