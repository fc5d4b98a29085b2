"""Evaluate checkpoints without training, as the rows of an accuracy matrix or mixed with the base model (WiSE-FT)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from accelerate import PartialState
from rich.console import Console
from rich.markdown import Markdown
from torch import Tensor
from transformers import PreTrainedModel

from ..config.arguments import ContinualTrainingArguments
from ..data.recipe_tasks import resolve_stream
from ..methods.averaging import interpolate
from ..methods.zero_shot import ZeroShot
from ..record.run_record import RunRecord
from ..reports.figures import plot_curves, plot_matrix
from ..reports.terminal import print_results
from ..utils import environment
from ..utils.errors import UserError
from ..utils.names import RECORD
from .description import new_record
from .mixtures import FILE, Evaluation, Evaluations
from .output import OutputFolder, check_same_recipe
from .session import Session
from .spec import StreamSpec

if TYPE_CHECKING:
    from ..config.recipe import Recipe
    from .checkpoint_sources import Checkpoint


@dataclass
class Checkpoints(ZeroShot):
    """The method in the record of given checkpoints; it trains nothing."""

    name: ClassVar[str] = "checkpoints"
    citation: ClassVar[str] = ""


class Standalone:
    """Evaluates checkpoints on the tasks of a recipe, and writes the results to its output folder.

    Args:
        recipe (`Recipe`): Base model, tasks, scenarios and `output_dir`.
        command (`str`, *optional*): The command, for the record.
    """

    def __init__(self, recipe: Recipe, command: str | None):
        self.args = ContinualTrainingArguments.checked(recipe.training)
        with self.args.main_process_first(desc="reading datasets"):
            self.tasks, self.others = resolve_stream(recipe, self.args.seed)
        self.recipe = recipe.to_dict()
        self.spec = StreamSpec(
            recipe.model_name_or_path, self.tasks, Checkpoints(), self.args, revision=recipe.model_revision,
            random_init=recipe.random_init, evaluation_only=self.others, scenarios=list(recipe.scenarios),
            command=command,
        )  # fmt: skip
        self.folder = self.spec.folder
        self.output = OutputFolder(self.folder, self.args.should_save)
        self.session = Session(self.spec, self._record(), self._kept_videos)
        self.evaluation = self.session.evaluation

    def stream(self, checkpoints: Sequence[Checkpoint]) -> RunRecord:
        """Fill an accuracy matrix: the zero-shot row from the base model, then one row per checkpoint."""
        names = [checkpoint.name for checkpoint in checkpoints]
        record = self._open_stream(names)
        self.evaluation.record = record
        if record.zero_shot is None:
            self.evaluation.measure(self._base(), None)
            self._write(record)
        for task, checkpoint in list(zip(self.tasks, checkpoints, strict=False))[len(record.accuracy) :]:
            self.evaluation.measure(self._load(checkpoint.path, checkpoint.revision), task.name)
            self._write(record)
        if self.args.should_save:
            print_results(record)
            sys.stdout.write(f"\nMatrix and plots: {self.folder}\n")
        return record

    def mixtures(self, checkpoints: Sequence[Checkpoint], alphas: Sequence[float]) -> Evaluations:
        """Evaluate `(1 - alpha) * base + alpha * checkpoint` for each checkpoint and each `alpha`.

        Source: WiSE-FT (Wortsman et al., CVPR 2022).
        """
        results = self._open_mixtures()
        base: PreTrainedModel | None = None
        for checkpoint in checkpoints:
            missing = [alpha for alpha in alphas if results.find(checkpoint.name, alpha) is None]
            if not missing:
                continue
            base = self._base() if base is None else base
            loaded = self._load(checkpoint.path, checkpoint.revision) if any(missing) else base
            ends, starts = loaded.state_dict(), {name: t.clone() for name, t in base.state_dict().items()}
            _check_same_shape(starts, ends, checkpoint.name)
            ends = {name: tensor.clone() for name, tensor in ends.items()}
            for alpha in missing:
                if results.find(checkpoint.name, alpha) is not None:
                    continue  # the same alpha was given twice
                loaded.load_state_dict(interpolate(starts, ends, alpha))
                name = checkpoint.name if alpha else self.spec.model_name
                results.evaluations.append(self._evaluation(loaded, name, alpha))
                if self.args.should_save:
                    results.save(self.folder)
            base.load_state_dict(starts)
        if self.args.should_save:
            Console().print(Markdown(results.as_markdown()))
            sys.stdout.write(f"\nTable and plot: {self.folder}\n")
        return results

    def _evaluation(self, model: PreTrainedModel, name: str, alpha: float) -> Evaluation:
        """Evaluate one model on all datasets in all scenarios."""
        self.evaluation.record = record = self._record()
        self.evaluation.measure(model, None)
        accuracy = {
            scenario: dict(zip(record.tasks, record.of(scenario).untrained(0), strict=True))
            for scenario in record.all_scenarios
        }
        accuracy[record.scenario] |= {task: entry["zero_shot"] for task, entry in record.evaluation_only.items()}
        return {"checkpoint": name, "alpha": alpha, "accuracy": accuracy}

    def _record(self) -> RunRecord:
        return new_record(self.spec, self.recipe)

    def _open_stream(self, names: list[str]) -> RunRecord:
        self.output.claim()
        if (self.folder / FILE).exists():
            raise UserError(f"{self.folder} has {FILE}, which belongs to no stream; choose another --output_dir")
        record = self.output.open(self.recipe)
        if record is None:
            record = self._record()
            record.extra["checkpoints"] = names
        before = record.extra.get("checkpoints")
        if before is None or record.method != Checkpoints.name:
            raise UserError(f"{self.folder} holds a run, which would be overwritten; choose another --output_dir")
        done = len(record.accuracy)
        if before[:done] != names[:done] or len(names) < done:
            raise UserError(
                f"{self.folder} holds the checkpoints {', '.join(before[:done])}; choose another --output_dir for "
                f"{', '.join(names)}"
            )
        record.extra["checkpoints"] = names
        return record

    def _open_mixtures(self) -> Evaluations:
        self.output.claim()
        if (self.folder / RECORD).exists():
            raise UserError(f"{self.folder} holds a run or a stream of checkpoints; choose another --output_dir")
        if (self.folder / FILE).exists():
            evaluations = Evaluations.load(self.folder / FILE)
            check_same_recipe(evaluations.recipe, self.recipe, self.folder)
            return evaluations
        return Evaluations(
            self.spec.model_name, [task.name for task in self.tasks], [task.name for task in self.others],
            self.spec.scenarios, self.recipe, environment.versions(), self.spec.command,
        )  # fmt: skip

    def _write(self, record: RunRecord) -> None:
        record.finished = record.accuracy_matrix().finished
        if self.args.should_save:
            self.output.write_record(record)
            plot_matrix(record, self.folder)
            plot_curves(record, self.folder)

    def _base(self) -> PreTrainedModel:
        return self.session.to_device(self.session.base_model())

    def _load(self, name: str, revision: str | None) -> PreTrainedModel:
        return self.session.to_device(self.session.load(name, revision))

    def _kept_videos(self, name: str) -> Path:
        """The folder with the embedded videos of a task, so that a stopped evaluation resumes."""
        folder = self.folder / "videos" / name
        if self.args.should_save and any(task.kind.keeps_database for task in self.tasks):
            folder.mkdir(parents=True, exist_ok=True)
        return folder


def _check_same_shape(base: dict[str, Tensor], other: dict[str, Tensor], name: str) -> None:
    shapes = {key: tuple(tensor.shape) for key, tensor in base.items()}
    differing = [key for key in {**base, **other} if key not in other or shapes.get(key) != tuple(other[key].shape)]
    if differing:
        raise UserError(
            f"{name}: its weights cannot be mixed with the base model's: {differing[0]} is missing or has another "
            f"shape ({len(differing)} such weights); give model_name_or_path the model that it was trained from"
        )


def evaluate(
    recipe: Recipe, checkpoints: Sequence[Checkpoint], alphas: Sequence[float] | None, command: str | None = None
) -> None:
    """Evaluate checkpoints on the tasks of a recipe, and write the results to its `output_dir`.

    Args:
        recipe (`Recipe`): Base model, tasks, scenarios and `output_dir`.
        checkpoints (`Sequence[Checkpoint]`): The checkpoints to evaluate.
        alphas (`Sequence[float]`, *optional*):
            Weights of each checkpoint in a mixture with the base model (WiSE-FT); if not given, the checkpoints are
            the rows of a stream.
        command (`str`, *optional*): The command, for the record.

    Raises:
        UserError: For any problem that the user can fix; finished evaluations are kept.
    """
    try:
        standalone = Standalone(recipe, command)
        with closing(standalone.output):
            if alphas is None:
                standalone.stream(checkpoints)
            else:
                standalone.mixtures(checkpoints, alphas)
    finally:
        PartialState().destroy_process_group()
