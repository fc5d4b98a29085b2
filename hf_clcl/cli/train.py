"""Run a recipe: `hf-clcl train RECIPE [--key value ...]`, or `python -m hf_clcl.train RECIPE ...`.

With several devices: `accelerate launch -m hf_clcl.train RECIPE`.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..utils.errors import RecipeError, printable
from ..utils.required import required
from .arguments import parse_overrides, set_up_logging
from .exit_code import exit_code

if TYPE_CHECKING:
    from ..config.recipe import Recipe

EPILOG = """\
RECIPE is a YAML file, or the name of a recipe of the package such as quickstart: `hf-clcl recipes` lists them.
Values on the command line override those of the recipe: --method finetune --learning_rate 1.0e-5
--output_dir outputs/mine. A dotted name reaches into a block: --methods.zscl.l2_weight 0.5.

the run             model_name_or_path, model_revision, method, methods.<method>.<option>, data_root, output_dir, seed
data                tasks, evaluation_only, reference_images, reference_texts (blocks of the recipe),
                    task_values.<task>.<key>, task_order, few_shot, skip_broken_images
training            learning_rate, max_steps, num_train_epochs, warmup_steps, lr_scheduler_type,
(within each task)  per_device_train_batch_size, per_device_reference_batch_size, gradient_accumulation_steps,
                    label_smoothing_factor, weight_decay, max_grad_norm, min_crop_scale, optim
trained weights     trainable (both, vision, text), train_logit_scale
speed and memory    bf16, fp16, gradient_checkpointing, checkpoint_texts_above, per_device_eval_batch_size,
                    dataloader_num_workers, image_cache_mb, disk_cache_mb, embedding_cache_dir, use_cpu
NaN and infinity    skip_nonfinite_steps
logs, checkpoints   logging_steps, save_steps, save_total_limit, report_to, run_name, disable_tqdm
the Hub             push_to_hub, hub_model_id, hub_private_repo, hub_overwrite, hub_token_env, resume_from_hub,
                    hub_strategy (every_save, checkpoint, all_checkpoints, end)

Training values have the meaning of transformers.TrainingArguments. SIGINT (Ctrl-C) and SIGTERM stop a run after a
checkpoint is saved; the same command resumes it. Exit code: 0 done, 1 the run failed, 2 the recipe cannot be run,
130 or 143 stopped.
"""


def main(argv: list[str] | None = None, prog: str = "python -m hf_clcl.train") -> int:
    """Run a recipe; returns the exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    return exit_code(lambda: _run_command(arguments, prog), stopped="the same command resumes")


def _run_command(arguments: list[str], prog: str) -> None:
    options, overrides = parse_command_line(arguments, prog)
    set_up_logging()
    from ..stream.recipes import read_recipe

    recipe = read_recipe(options.recipe, overrides)
    if options.dry_run:
        show_stream(recipe)
    else:
        run(recipe, f"{prog} {printable(shlex.join(arguments))}")


def parse_command_line(
    arguments: list[str], prog: str = "python -m hf_clcl.train"
) -> tuple[argparse.Namespace, dict[str, str]]:
    """Parse the command line into the options of the command and the values that override the recipe."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Fine-tune a CLIP on a stream of tasks, and measure learning and forgetting after each task.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s RECIPE [--dry_run] [--key value ...]",
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="RECIPE", help="the recipe, if it is not the first argument")
    parser.add_argument("--dry_run", action="store_true", help="show the stream as a table and stop")
    first = [argument for argument in arguments[:1] if not argument.startswith("-")]
    options, rest = parser.parse_known_args(arguments[len(first) :])
    recipes = [*first, *([options.config] if options.config else [])]
    if len(recipes) != 1:
        raise RecipeError(
            "give one recipe as the first argument: a YAML file, or a name such as quickstart "
            "(`hf-clcl recipes` lists them)",
            "the command line",
        )
    options.recipe = recipes[0]
    return options, parse_overrides(rest)


def show_stream(recipe: Recipe) -> None:
    """Print the stream as a table, without loading the model."""
    from ..config.arguments import ContinualTrainingArguments
    from ..data.recipe_tasks import resolve_stream
    from ..reports.terminal import print_stream

    args = ContinualTrainingArguments.checked(recipe.training)
    output_dir = required(args.output_dir, "output_dir")
    rows = []
    tasks, others = resolve_stream(recipe, args.seed)
    for task, entry in zip([*tasks, *others], [*recipe.tasks, *recipe.evaluation_only], strict=True):
        steps = args.of_task(task.training, output_dir).steps_for(len(task.train)) if task.train else None
        rows.append({
            "task": task.name,
            "train": len(task.train) if task.train else None,
            "test": len(task.test) if task.test else None,
            "classes": len(task.class_names or ()) or None,
            "shots": entry.shots(recipe.few_shot) if task.train else None,
            "prompt": task.training_prompts[0] if task.kind.has_labels else f"({task.kind.name})",
            "steps": steps,
            "data": entry.read(evaluated=task.train is None),
        })  # fmt: skip
    print_stream(rows, recipe.scenarios if any(t.kind.has_labels for t in [*tasks, *others]) else ())


def run(recipe: Recipe, command: str) -> None:
    """Load the data of a recipe, run its stream, and print the results."""
    from accelerate import PartialState

    from ..config.arguments import ContinualTrainingArguments
    from ..data.broken import drop_unreadable
    from ..data.recipe_tasks import resolve_stream
    from ..data.references import resolve_reference_images, resolve_reference_texts
    from ..methods import create_method
    from ..reports.terminal import print_results
    from ..stream.faults import check_writable
    from ..stream.run import run_stream
    from ..training.interruption import Interruption

    args = ContinualTrainingArguments.checked(recipe.training)
    if args.should_save:
        check_writable(Path(required(args.output_dir, "output_dir")))
    method = create_method(recipe.method, recipe.method_options)
    with Interruption(), args.main_process_first(desc="reading datasets"):
        tasks, others = resolve_stream(recipe, args.seed)
        images = texts = None
        if method.needs_reference_images:
            entry = required(recipe.reference_images, "reference_images")
            images = resolve_reference_images(entry, recipe.data_root, args.seed)
            if recipe.skip_broken_images:
                images = images._replace(rows=drop_unreadable(*images, "reference_images")[0])
        if method.needs_reference_texts:
            entry = required(recipe.reference_texts, "reference_texts")
            texts = resolve_reference_texts(entry, recipe.data_root, args.seed)
    try:
        record = run_stream(
            recipe.model_name_or_path, tasks, method, evaluation_only=others, reference_images=images,
            reference_texts=texts, args=args, model_revision=recipe.model_revision, random_init=recipe.random_init,
            recipe=recipe.to_dict(), command=command, peft=recipe.peft, scenarios=recipe.scenarios,
        )  # fmt: skip
        if args.should_save:
            print_results(record)
            sys.stdout.write(f"\nResults, card, plots and one folder per task: {args.output_dir}\n")
    finally:
        PartialState().destroy_process_group()  # without it, processes may abort at exit


if __name__ == "__main__":
    sys.exit(main())
