"""A stream as one call: from objects and values to a record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset

from ..config.arguments import ContinualTrainingArguments
from ..config.lora import LoRA
from ..data.task import Task
from ..methods import Method, create_method
from ..metrics.scenarios import TASK_INCREMENTAL
from ..record.run_record import RunRecord
from ..utils.errors import RecipeError
from .stream import Stream


def run_stream(
    model: str | Path,
    tasks: Sequence[Task],
    method: str | Method = "zscl",
    *,
    method_options: dict[str, Any] | None = None,
    evaluation_only: Sequence[Task] = (),
    reference_images: Dataset | None = None,
    reference_texts: Sequence[str] | None = None,
    args: ContinualTrainingArguments | None = None,
    model_revision: str | None = None,
    random_init: bool = False,
    recipe: dict[str, Any] | None = None,
    command: str | None = None,
    peft: LoRA | None = None,
    scenarios: Sequence[str] = (TASK_INCREMENTAL.name,),
    **training_values: Any,
) -> RunRecord:
    """Teach a CLIP one task after another, evaluating all of them after each.

    Called again with the same arguments, it goes on where `output_dir` stands; a finished run is only read.

    Args:
        model (`str` or `Path`): The CLIP to start from: a Hub id or a local folder.
        tasks (`Sequence[Task]`): The stream, in order.
        method (`str` or `Method`, defaults to `"zscl"`): How to learn without forgetting.
        method_options (`dict`, *optional*): Options of the method, where it is given by name.
        evaluation_only (`Sequence[Task]`): Evaluated after each task, never trained on.
        reference_images (`Dataset`, *optional*): Images for methods that distil on a reference set.
        reference_texts (`Sequence[str]`, *optional*): Texts for them.
        args (`ContinualTrainingArguments`, *optional*): Training values; or give them one by one.
        model_revision (`str`, *optional*): Branch, tag or commit of a Hub model.
        random_init (`bool`, defaults to `False`): Take only the model's configuration.
        recipe (`dict`, *optional*): The recipe as plain values, kept as `recipe.yaml`.
        command (`str`, *optional*): The command that started the run, for the record.
        peft (`LoRA`, *optional*): Learn low-rank updates alone, merged after each task.
        scenarios (`Sequence[str]`, defaults to `("task_incremental",)`):
            What images are classified among, the main one first: see [`Recipe`].
        training_values: Values of `ContinualTrainingArguments`, such as `output_dir`, `max_steps`, `learning_rate`.

    Returns:
        `RunRecord`: What `results.json` in the output folder holds.

    Raises:
        UserError: For anything that the user can mend; what is finished is kept.
    """
    if args is not None and training_values:
        raise RecipeError(f"args is given, so {', '.join(training_values)} must be set in it")
    if args is None:
        args = ContinualTrainingArguments.checked(training_values)
    if isinstance(method, str):
        method = create_method(method, method_options)
    stream = Stream(
        str(model), list(tasks), method, list(evaluation_only), reference_images,
        None if reference_texts is None else list(reference_texts), args, model_revision, random_init, recipe, command,
        peft, list(scenarios),
    )  # fmt: skip
    return stream.run()
