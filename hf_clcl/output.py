"""The folder of a run: what it holds when a run begins or goes on, and how results are written to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from .cards import write_card
from .errors import RecipeError, UserError
from .files import whole_file
from .plots import plot_curves, plot_matrix
from .record import RunRecord

RECORD, RECIPE, CARD, CHECKPOINTS = "results.json", "recipe.yaml", "README.md", "checkpoints"

# What may differ between a run and its resumption, since no number depends on it.
FREE_TO_CHANGE = {
    "output_dir", "data_root", "logging_steps", "logging_strategy", "logging_first_step", "save_steps",
    "save_strategy", "save_total_limit", "report_to", "run_name", "project", "disable_tqdm", "log_level",
    "dataloader_num_workers", "dataloader_prefetch_factor", "dataloader_pin_memory", "image_cache_mb",
    "trackio_space_id", "log_level_replica", "push_to_hub", "hub_model_id", "hub_private_repo", "hub_strategy",
    "hub_overwrite", "hub_token_env", "resume_from_hub", "per_device_eval_batch_size",
}  # fmt: skip


# What cards say of the data.
REMARKS = {"licence", "split_note"}


class OutputFolder:
    """The output folder of a run.

    Args:
        path (`Path`): The folder.
        writes (`bool`): Whether this process writes; one of several does.
    """

    def __init__(self, path: Path, writes: bool):
        self.path, self.writes = path, writes

    def open(self, recipe: dict[str, Any]) -> RunRecord | None:
        """The record of a run that is to go on, or `None` for a new one.

        Raises:
            UserError: Where the folder cannot be written, or belongs to something else.
            RecipeError: Where it holds a run of another recipe; the message tells what differs.
        """
        if self.writes:
            self._check_writable()
        if (self.path / RECORD).exists():
            record = RunRecord.load(self.path / RECORD)
            refuse_other_recipe(record.recipe, recipe, self.path)
            return record
        leftovers = sorted(p.name for p in self.path.glob("task-*")) if self.path.exists() else []
        if leftovers:
            raise UserError(
                f"{self.path} holds {leftovers[0]} but no {RECORD}: it belongs to something else. Choose another "
                "folder with --output_dir"
            )
        return None

    def task(self, index: int, name: str) -> Path:
        """The folder of a finished task."""
        return self.path / f"task-{index + 1:02d}-{name}"

    def scratch(self, index: int, name: str) -> Path:
        """The folder of the checkpoints within a task, gone when it is finished."""
        return self.path / CHECKPOINTS / self.task(index, name).name

    def write_record(self, record: RunRecord) -> None:
        """Write the record and the recipe."""
        if not self.writes:
            return
        record.save(self.path / RECORD)
        with whole_file(self.path / RECIPE) as path:
            path.write_text(yaml.safe_dump(record.recipe, sort_keys=False, allow_unicode=True), encoding="utf-8")

    def write(self, record: RunRecord) -> None:
        """Write the record, and what shows its accuracies: plots and card."""
        self.write_record(record)
        if not self.writes:
            return
        if record.zero_shot is not None and any(value is not None for value in record.zero_shot):
            plot_matrix(record, self.path)
            plot_curves(record, self.path)
        with whole_file(self.path / CARD) as path:
            path.write_text(write_card(record), encoding="utf-8")

    def _check_writable(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with whole_file(self.path / ".writable") as probe:
                probe.touch()
            (self.path / ".writable").unlink()
        except OSError as error:
            raise UserError(
                f"the output folder {self.path} cannot be written ({error.strerror or error}); choose another with "
                "--output_dir"
            ) from None


def refuse_other_recipe(before: dict[str, Any], now: dict[str, Any], folder: Path) -> None:
    """See that a run goes on with the recipe it began with.

    Raises:
        RecipeError: With each value that differs and that numbers depend on.
    """
    before, now = decisive_values(before), decisive_values(now)
    differing = [
        f"{key}: {before.get(key, 'default')} before, {now.get(key, 'default')} now"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]
    if differing:
        advice = "choose another folder with --output_dir, or give the values that the run began with"
        raise RecipeError([*differing, advice], f"resuming {folder}")


def decisive_values(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Values that numbers depend on, under dotted names, with the options of the method in use alone."""
    flat: dict[str, Any] = {}

    def flatten(value: Any, name: str) -> None:
        if isinstance(value, dict):
            for key, entry in value.items():
                flatten(entry, f"{name}.{key}" if name else key)
        elif isinstance(value, list) and value and all(isinstance(entry, dict) and "name" in entry for entry in value):
            flat[name] = [entry["name"] for entry in value]
            for entry in value:
                flatten(entry, f"{name}.{entry['name']}")
        else:
            flat[name] = value

    flatten({key: value for key, value in recipe.items() if key not in FREE_TO_CHANGE}, "")
    used = f"methods.{recipe.get('method', 'zscl')}."
    return {
        key: value
        for key, value in flat.items()
        if key.rpartition(".")[-1] not in REMARKS and (not key.startswith("methods.") or key.startswith(used))
    }
