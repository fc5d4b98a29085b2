"""Two processes give the numbers of one with the doubled batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from hf_clcl import RunRecord

ROOT = Path(__file__).resolve().parent.parent


def launch(recipe: Path, output: str, processes: int, *values: str) -> Path:
    """Runs the recipe as a user would with `torchrun`; returns the output folder."""
    folder = recipe.parent / output
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes), "-m",
        "hf_clcl.train", str(recipe), "--output_dir", str(folder), "--use_cpu", *values,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[:6000]
    assert done.stdout.count("Results, card") == 1  # one process prints
    return folder


@pytest.fixture
def captions(recipe, pairs):
    """The recipe with tasks of captions in the place of its own."""
    values = yaml.safe_load(recipe.read_text())
    for seed, task in enumerate(values["tasks"]):
        for split in ("train", "test"):
            rows = pairs(12, seed=2 * seed + (split == "test"))
            rows.to_parquet(str(recipe.parent / f"pairs-{task['name']}" / f"{split}.parquet"))
        task |= {"dataset": f"pairs-{task['name']}", "caption_column": "captions"}
    recipe.write_text(yaml.safe_dump(values))
    return recipe


@pytest.mark.parametrize(("kind", "method"), [("recipe", "finetune"), ("recipe", "zscl"), ("captions", "zscl")])
def test_two_processes_equal_one_with_the_doubled_batch(request, kind, method):
    recipe = request.getfixturevalue(kind)
    # Plain SGD: Adam turns the rounding of gradients that are nearly zero into whole steps.
    common = (
        "--method",
        method,
        "--optim",
        "sgd",
        "--learning_rate",
        "0.05",
        "--max_steps",
        "4",
        "--logging_steps",
        "1",
        "--scenarios",
        "[task_incremental, class_incremental, domain_agnostic]",
    )
    one = launch(recipe, "one", 1, "--per_device_train_batch_size", "6", *common)
    two = launch(recipe, "two", 2, "--per_device_train_batch_size", "3", *common)
    first, second = (RunRecord.load(folder / "results.json") for folder in (one, two))
    assert first.accuracy == second.accuracy and first.zero_shot == second.zero_shot
    assert first.scenarios == second.scenarios and len(first.all_scenarios) == 3
    assert first.retrieval == second.retrieval and bool(first.retrieval) == (kind == "captions")
    for a, b in zip(first.losses, second.losses, strict=True):
        assert a["task_loss"] == pytest.approx(b["task_loss"], abs=1e-5)
    weights, others = (load_file(folder / "task-02-cold" / "model.safetensors") for folder in (one, two))
    for name, tensor in weights.items():
        torch.testing.assert_close(tensor, others[name], atol=1e-5, rtol=0)


def test_accelerate_launch(recipe):
    command = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "-m", "hf_clcl.train", str(recipe)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[:6000]
    assert (recipe.parent / "out" / "task-02-cold" / "config.json").exists()
