"""FSDP2: whether the launcher asks for it, and what prevents a run from sharding its weights.

During the training steps of a task, weights, gradients, optimizer states, anchors and averages are sharded among the
ranks. Between tasks each rank holds the full model, so teachers, `end_task` and evaluation work as on one device.
"""

from __future__ import annotations

import os

from ..utils.names import launch_file

CONFIGURATION = launch_file("fsdp")
# Settings of the launcher that are needed, and why.
NEEDED = {
    "FSDP_VERSION": ("2", "fsdp_version", "FSDP1 flattens weights, which methods need by name"),
    "FSDP_STATE_DICT_TYPE": ("FULL_STATE_DICT", "fsdp_state_dict_type", "checkpoints hold full weights"),
    "FSDP_CPU_RAM_EFFICIENT_LOADING": ("false", "fsdp_cpu_ram_efficient_loading", "each process needs the teacher"),
    "FSDP_OFFLOAD_PARAMS": ("false", "fsdp_offload_params", "averages and anchors stay on the device"),
}


def is_sharded() -> bool:
    """Whether the launcher asks for FSDP."""
    return os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"


def fsdp_problems(adapters: bool, trains_logit_scale: bool, keeps_on_cpu: str | None) -> list[str]:
    """What prevents a run from sharding its weights, one line each.

    Args:
        adapters, trains_logit_scale, keeps_on_cpu: See [`~hf_clcl.distributed.launcher.LaunchNeeds`].
    """
    problems = [
        f"{key}: must be {needed}, got {os.environ[name]}: {reason}; see {CONFIGURATION}"
        for name, (needed, key, reason) in NEEDED.items()
        if os.environ.get(name, needed).lower() != needed.lower()
    ]
    if adapters:
        problems.append(f"peft: adapters are small and FSDP does not shard them; use {launch_file('several_gpus')}")
    if trains_logit_scale:
        problems.append("train_logit_scale: FSDP cannot shard a scalar; leave it out, or use several_gpus.yaml")
    if keeps_on_cpu is not None:
        problems.append(f"{keeps_on_cpu}: FSDP shards the averages of the method among the devices; set it to model")
    return problems
