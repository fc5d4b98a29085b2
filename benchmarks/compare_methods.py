"""Run several methods on one stream and compare them: a table, and a plot of Transfer against Last.

    python benchmarks/compare_methods.py --data_root DATA --model_name_or_path MODEL [--methods zscl lwf] [--seeds 42]

Each run has its own output folder. Interrupted runs are resumed, finished runs are only read. A method may have
options (`imm:merge=mode`), and `+lora` trains it with LoRA (`zscl+lora`). Further `--key value` pairs are passed to
every run, as to `python -m hf_clcl.train`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tqdm.auto import tqdm

from hf_clcl.record.run_record import RunRecord
from hf_clcl.utils.errors import UserError

HERE = Path(__file__).resolve().parent
SEEDS = (42, 43, 44)
# Methods of the published comparison, run with every seed.
REPEATED = ("finetune", "lwf", "vr_lwf", "wise_ft", "zscl_star", "zscl", "zscl+lora")
ONCE = (
    "zero_shot",
    "l2",
    "ewc",
    "weight_ensemble",
    "icarl",
    "geodl",
    "imm:merge=mean",
    "imm:merge=mode",
    "rkd",
    "joint",
)


def main(argv: list[str] | None = None) -> int:
    """Run what is missing, then compare.

    Returns:
        `int`: The exit code.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    parser.add_argument("--recipe", default=os.path.relpath(HERE / "methods.yaml"), help="the stream (%(default)s)")
    parser.add_argument("--output_dir", default="outputs/methods", help="folder for the runs and the comparison")
    parser.add_argument(
        "--methods",
        nargs="+",
        metavar="METHOD",
        help="run with every seed; default: the published comparison with every seed, others with the first",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS), help="seeds (%(default)s)")
    parser.add_argument("--keep_weights", action="store_true", help="keep the checkpoints of finished runs")
    options, rest = parser.parse_known_args(argv)
    runs = planned(options.methods, options.seeds)
    for method, seed in (bar := tqdm(runs, unit="run")):
        bar.set_postfix_str(f"{method} seed {seed}")
        folder = Path(options.output_dir, f"{method.replace(':', '-').replace('=', '-')}-seed{seed}")
        code = run(options.recipe, method, seed, folder, rest)
        if code:
            sys.stderr.write(f"error: {method} with seed {seed} failed with exit code {code}; see {folder}.log\n")
            return code
        if not options.keep_weights:
            for task in folder.glob("task-*"):
                shutil.rmtree(task)
    comparison = Path(options.output_dir, "comparison")
    return subprocess.call(
        [sys.executable, "-m", "hf_clcl.compare", options.output_dir, "--output", str(comparison)], cwd=Path.cwd()
    )


def planned(methods: list[str] | None, seeds: list[int]) -> list[tuple[str, int]]:
    """Method and seed of each run: every method once before any is repeated."""
    if methods:
        return [(method, seed) for seed in seeds for method in methods]
    first = [(method, seeds[0]) for method in (*REPEATED, *ONCE)]
    return first + [(method, seed) for seed in seeds[1:] for method in REPEATED]


def run(recipe: str, method: str, seed: int, folder: Path, rest: list[str]) -> int:
    """Run a recipe in a subprocess, so that memory and time are measured for it alone; returns the exit code."""
    if finished(folder):
        return 0
    values = [f"--{value}" if place % 2 == 0 else value for place, value in enumerate(values_of(method, seed, folder))]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{folder}.log", "a", encoding="utf-8") as log:
        command = [sys.executable, "-m", "hf_clcl.train", recipe, *values, *rest]
        return subprocess.call(command, stdout=log, stderr=subprocess.STDOUT)


def values_of(method: str, seed: int, folder: Path) -> list[str]:
    """Recipe keys and values, in turn, for a method such as `imm:merge=mode` or `zscl+lora`."""
    name, *adapted = method.split("+")
    name, *pairs = name.split(":")
    values = ["method", name, "seed", str(seed), "output_dir", str(folder)]
    for pair in pairs:
        key, _, value = pair.partition("=")
        values += [f"methods.{name}.{key}", value]
    return values + (["peft.r", "8"] if adapted else [])


def finished(folder: Path) -> bool:
    """Whether a folder contains a finished run."""
    try:
        return RunRecord.load(folder).finished
    except UserError:
        return False


if __name__ == "__main__":
    sys.exit(main())
