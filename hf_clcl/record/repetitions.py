"""Repeated runs: which recipe values affect results, and which runs differ only in their seed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from .run_record import RunRecord

# Recipe keys that may change when a run is resumed, because they do not affect results.
FREE_TO_CHANGE = {
    "output_dir", "data_root", "logging_steps", "logging_strategy", "logging_first_step", "save_steps",
    "save_strategy", "save_total_limit", "report_to", "run_name", "project", "disable_tqdm", "log_level",
    "dataloader_num_workers", "dataloader_prefetch_factor", "dataloader_pin_memory", "image_cache_mb",
    "trackio_space_id", "log_level_replica", "push_to_hub", "hub_model_id", "hub_private_repo", "hub_strategy",
    "hub_overwrite", "hub_token_env", "resume_from_hub", "per_device_eval_batch_size", "embedding_cache_dir",
    "disk_cache_mb", "checkpoint_texts_above", "skip_nonfinite_steps",
    "expect_results",
}  # fmt: skip


# Keys of a dataset that only cards show.
REMARKS = {"licence", "split_note"}


def decisive_values(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe values that affect results, under dotted names; of method options, only those of the method in use.

    Args:
        recipe (`Mapping[str, Any]`): A resolved recipe.
    """
    flat: dict[str, Any] = {}

    def flatten(value: Any, name: str) -> None:
        if isinstance(value, dict) and (value or name.startswith("methods")):
            for key, entry in value.items():
                flatten(entry, f"{name}.{key}" if name else key)
        elif isinstance(value, list) and value and all(isinstance(entry, dict) and "name" in entry for entry in value):
            flat[name] = [entry["name"] for entry in value]
            for entry in value:
                flatten(entry, f"{name}.{entry['name']}")
        else:
            flat[name] = value  # also an empty block: `peft: {}` is LoRA with its defaults

    flatten({key: value for key, value in recipe.items() if key not in FREE_TO_CHANGE}, "")
    used = f"methods.{recipe.get('method', 'zscl')}."
    return {
        key: value
        for key, value in flat.items()
        if key.rpartition(".")[-1] not in REMARKS and (not key.startswith("methods.") or key.startswith(used))
    }


def recipe_of(record: RunRecord) -> dict[str, Any]:
    """The recipe values that repeated runs share: all that affect results, except the seeds."""
    return {key: value for key, value in decisive_values(record.recipe).items() if key not in ("seed", "data_seed")}


def repetitions(records: Iterable[RunRecord]) -> list[list[int]]:
    """Group records by repeated runs. An unfinished run is a group of its own.

    Args:
        records (`Iterable[RunRecord]`): The records.

    Returns:
        `list[list[int]]`: Indices of the records of each group, in order of the first.
    """
    groups: dict[str, list[int]] = {}
    for place, record in enumerate(records):
        alone = None if record.accuracy_matrix().finished else place
        key = json.dumps([record.method, record.model, record.tasks, recipe_of(record), alone], sort_keys=True)
        groups.setdefault(key, []).append(place)
    return list(groups.values())
