"""Weights that are divided among processes (FSDP2): what works on the parts, and how they become whole again.

The model is whole between tasks, so that teachers, ends of tasks and evaluation are what they are on one device; its
weights are divided during the steps of a task, together with gradients, optimiser states, anchors and averages.
"""

from __future__ import annotations

import os

from ..utils.names import launch_file

CONFIGURATION = launch_file("fsdp")
# What the launcher has to say, and why.
NEEDED = {
    "FSDP_VERSION": ("2", "fsdp_version", "the first FSDP flattens weights, which methods need by name"),
    "FSDP_STATE_DICT_TYPE": ("FULL_STATE_DICT", "fsdp_state_dict_type", "checkpoints hold whole weights"),
    "FSDP_CPU_RAM_EFFICIENT_LOADING": ("false", "fsdp_cpu_ram_efficient_loading", "each process needs the teacher"),
    "FSDP_OFFLOAD_PARAMS": ("false", "fsdp_offload_params", "averages and anchors lie on the device"),
}


def is_sharded() -> bool:
    """Whether the launcher asks for FSDP."""
    return os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"


def fsdp_problems(adapters: bool, trains_logit_scale: bool, keeps_on_cpu: str | None) -> list[str]:
    """What keeps a run from sharding its weights, one line each.

    Args:
        adapters, trains_logit_scale, keeps_on_cpu: See [`~hf_clcl.distributed.launcher.LaunchNeeds`].
    """
    found = [
        f"{key}: must be {needed}, found {os.environ[name]}: {reason}; see {CONFIGURATION}"
        for name, (needed, key, reason) in NEEDED.items()
        if os.environ.get(name, needed).lower() != needed.lower()
    ]
    if adapters:
        found.append(f"peft: adapters are small and are not divided by FSDP; use {launch_file('several_gpus')}")
    if trains_logit_scale:
        found.append("train_logit_scale: FSDP divides no single number; leave it out, or use several_gpus.yaml")
    if keeps_on_cpu is not None:
        found.append(f"{keeps_on_cpu}: FSDP shards the averages of the method among the devices; leave it at model")
    return found
