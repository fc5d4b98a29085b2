"""Two processes give the numbers of one with the doubled batch."""

from __future__ import annotations

import subprocess
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
import yaml
from safetensors.torch import load_file

from helpers import ROOT
from helpers.processes import launch_environment, run_each
from hf_clcl import RunRecord
from hf_clcl.cli.train import main
from hf_clcl.data.images.frames import Frames, Normalizer
from hf_clcl.data.texts.tokens import tokenize
from hf_clcl.evaluation import retrieval as retrieval_module
from hf_clcl.evaluation.retrieval import embed_captions
from hf_clcl.models.embedding import embed_all_images
from hf_clcl.models.loading import load_model, load_processor
from hf_clcl.stream import output as output_module

LOSS_TOLERANCE = 1e-4  # absolute or relative: cosines, which are exact to about 1e-6, times a logit scale of 14

METHODS = {
    "finetune": {},
    "l2": {},
    "zscl": {"averaging_interval": 2},
    "icarl": {"memory": 7},
    "ewc": {"fisher_samples": 17, "ewc_weight": 100.0},
    "wise_ft": {"averaging_interval": 2, "averaging": "mixed"},
    "lora": {},
    "captions": {},
    "accumulated": {},
}  # fmt: skip
SHARDED = ("finetune", "l2", "zscl", "ewc")
ZERO = {"1": ("finetune", "ewc"), "2": ("l2", "zscl", "accumulated")}  # what is tried with each stage

NAN = '''
import os
from hf_clcl.methods import Method

class NaN(Method):
    """Fine-tuning in which the loss of the second process is not a number."""

    name = "nan"

    def losses(self, model, batch):
        weight = float("nan") if os.environ["RANK"] == "1" else 1.0
        return {name: weight * loss for name, loss in super().losses(model, batch).items()}
'''

STOPPED = '''
import os, signal
from dataclasses import dataclass
from pathlib import Path
from hf_clcl.methods.zscl import ZSCL

@dataclass
class Stopped(ZSCL):
    """ZSCL that is stopped once, in the second step of its first task."""

    name = "stopped"
    averaging_interval: int = 2
    stops = True

    def losses(self, model, batch):
        self.steps = getattr(self, "steps", 0) + 1
        marker = Path(__file__).with_name("stopped-" + os.environ["RANK"])
        if self.stops and self.steps == 2 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGTERM)
        return super().losses(model, batch)

@dataclass
class Undisturbed(Stopped):
    """The same, and never stopped."""

    name = "undisturbed"
    stops = False
'''


class Runs(NamedTuple):
    """The output folders of the runs by one process, by two, and what the two said."""

    one: Path
    two: Path
    said: subprocess.CompletedProcess


def arguments(root: Path, kind: str, folder: str, batch: int) -> list[str]:
    """The command of a run: the method of this name, with LoRA, on captions, or of a file."""
    method = {"captions": "zscl", "lora": "zscl", "accumulated": "finetune"}.get(kind, kind)
    options = [
        part for name, value in METHODS.get(kind, {}).items() for part in (f"--methods.{method}.{name}", f"{value}")
    ]
    if kind == "lora":
        options += ["--peft.r", "2"]
    if kind == "accumulated":
        options += ["--gradient_accumulation_steps", "2", "--max_grad_norm", "0.1"]
    return [
        str(root / ("captions.yaml" if kind == "captions" else "recipe.yaml")), "--method", method, "--use_cpu",
        "--output_dir", str(root / folder / kind.rpartition(":")[2]), *options,
        "--per_device_train_batch_size", str(batch), "--per_device_reference_batch_size", str(batch),
        "--per_device_eval_batch_size", "4",  # of 9 test images: processes have unequal shares
        # Plain SGD: Adam turns the rounding of gradients that are nearly zero into whole steps.
        "--optim", "adamw_torch" if ":" in kind else "sgd",
        "--learning_rate", "0.01", "--max_steps", "3", "--logging_steps", "1",
        "--scenarios", "[task_incremental, class_incremental, domain_agnostic]",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory, make_recipe, pairs) -> Runs:
    root = tmp_path_factory.mktemp("distributed")
    values = yaml.safe_load(make_recipe(root).read_text())
    for seed, task in enumerate(values["tasks"]):
        for split in ("train", "test"):
            rows = pairs(12, seed=2 * seed + (split == "test"))
            rows.to_parquet(str(root / f"pairs-{task['name']}" / f"{split}.parquet"))
        task |= {"dataset": f"pairs-{task['name']}", "caption_column": "captions"}
    (root / "captions.yaml").write_text(yaml.safe_dump(values))
    (root / "nan.py").write_text(NAN)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("plot_matrix", "plot_curves"):
            patch.setattr(output_module, name, lambda *args: None)
        assert [main(arguments(root, kind, "one", 6)) for kind in METHODS] == [0] * len(METHODS)
    said = run_each([arguments(root, kind, "two", 3) for kind in (*METHODS, f"{root / 'nan.py'}:NaN")])
    assert said.returncode == 0, said.stderr[-6000:]
    return Runs(root / "one", root / "two", said)


@pytest.fixture
def assert_equal(update_error):
    """Fails where the records of two runs differ, or their losses or weights by more than rounding."""
    return partial(check_equal, update_error)


def check_equal(update_error, one: Path, two: Path) -> None:
    first, second = (RunRecord.load(folder / "results.json") for folder in (one, two))
    assert first.accuracy == second.accuracy and first.zero_shot == second.zero_shot
    assert first.scenarios == second.scenarios and len(first.all_scenarios) == 3
    assert first.retrieval == second.retrieval and bool(first.retrieval) == (one.name == "captions")
    assert len(first.losses) == len(second.losses) == 6
    for a, b in zip(first.losses, second.losses, strict=True):
        losses = {name: value for name, value in a.items() if name.endswith(("loss", "_kl"))}
        assert losses == pytest.approx({name: b[name] for name in losses}, abs=LOSS_TOLERANCE, rel=LOSS_TOLERANCE)
    weights, others = (load_file(folder / "task-02-cold" / "model.safetensors") for folder in (one, two))
    start = load_file(Path(first.recipe["model_name_or_path"]) / "model.safetensors")
    assert update_error(start, weights, others) < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("kind", METHODS)
def test_two_processes_equal_one_with_the_doubled_batch(runs: Runs, assert_equal, kind: str) -> None:
    assert_equal(runs.one / kind, runs.two / kind)


@pytest.mark.slow
def test_one_process_prints_and_writes(runs: Runs) -> None:
    assert runs.said.stdout.count("Results, card") == len(METHODS)
    assert "rank 1: " in runs.said.stdout and ", 0 files written" in runs.said.stdout.split("rank 1: ")[1]
    assert ", 0 files written" not in runs.said.stdout.split("rank 0: ")[1].splitlines()[0]


@pytest.mark.slow
def test_a_loss_of_one_process_that_is_not_a_number_ends_all(runs: Runs) -> None:
    codes = str([0] * len(METHODS) + [1])
    assert runs.said.stdout.count(f"codes {codes}") == 2
    assert runs.said.stderr.count("task_loss is not a finite number near step 1 of 3") == 1
    assert not list((runs.two / "NaN").glob("task-*"))


@pytest.mark.slow
def test_divided_weights_give_the_same(runs: Runs, assert_equal) -> None:
    """FSDP over gloo, with what users launch it with; also where it is stopped and goes on, then to the last bit."""
    environment = launch_environment(ROOT / "recipes" / "accelerate" / "fsdp.yaml")
    root = runs.one.parent
    (root / "stopped.py").write_text(STOPPED)
    kinds = [*SHARDED, *[f"{root / 'stopped.py'}:{name}" for name in ("Undisturbed", "Stopped", "Stopped")]]
    said = run_each([arguments(root, kind, "sharded", 3) for kind in kinds], **environment)
    assert said.returncode == 0, said.stderr[-6000:]
    assert said.stdout.count(f"codes {[*[0] * len(SHARDED), 0, 143, 0]}") == 2, said.stderr[-6000:]
    assert said.stdout.count(f"{2 * len(SHARDED) + 4} divided") == 2  # two tasks each, in both processes
    for kind in SHARDED:
        assert_equal(runs.one / kind, root / "sharded" / kind)
    weights, others = (
        load_file(root / "sharded" / kind / "task-02-cold" / "model.safetensors")
        for kind in ("Undisturbed", "Stopped")
    )
    assert all(torch.equal(tensor, others[name]) for name, tensor in weights.items())


@pytest.mark.slow
@pytest.mark.parametrize("stage", ZERO)
def test_a_divided_optimiser_gives_the_same(runs: Runs, assert_equal, stage: str) -> None:
    """DeepSpeed over gloo; ZeRO-2 also stopped and going on, then to the last bit, and where a number is none."""
    pytest.importorskip("deepspeed", reason="needs DeepSpeed: pip install -e '.[deepspeed]'")
    told = launch_environment(ROOT / "recipes" / "accelerate" / "deepspeed_zero2.yaml")
    environment = {**told, "ACCELERATE_DEEPSPEED_ZERO_STAGE": stage, "DS_ACCELERATOR": "cpu"}
    root = runs.one.parent / f"zero-{stage}"
    root.mkdir()
    (root / "stopped.py").write_text(STOPPED)
    (root / "nan.py").write_text(NAN)
    files = [f"{root / 'stopped.py'}:{name}" for name in ("Undisturbed", "Stopped", "Stopped")]
    kinds = [*ZERO[stage], *([f"{root / 'nan.py'}:NaN", *files] if stage == "2" else [])]  # one start tells once
    said = run_each([arguments(runs.one.parent, kind, root.name, 3) for kind in kinds], **environment)
    assert said.returncode == 0, said.stderr[-6000:]
    codes = [0] * len(ZERO[stage]) + ([1, 0, 143, 0] if stage == "2" else [])
    assert said.stdout.count(f"codes {codes}") == 2, said.stderr[-6000:]
    tasks = 2 * len(ZERO[stage]) + (1 + 2 + 1 + 2 if stage == "2" else 0)
    left = ", 0 left" if stage == "1" else ""  # an error or a signal leaves the engine to the end of the process
    assert said.stdout.count(f"stages {[int(stage)] * tasks}{left}") == 2, said.stdout
    for kind in ZERO[stage]:
        assert_equal(runs.one / kind, root / kind)
    if stage == "2":
        assert said.stderr.count("a gradient is not a finite number near step 0 of 3") == 1
        weights, others = (
            load_file(root / kind / "task-02-cold" / "model.safetensors") for kind in ("Undisturbed", "Stopped")
        )
        assert all(torch.equal(tensor, others[name]) for name, tensor in weights.items())


class Share(NamedTuple):
    """Stands for the accelerator of one process of several; what processes find is added up by the test."""

    process_index: int
    num_processes: int
    is_local_main_process: bool = False
    autocast = staticmethod(nullcontext)

    def reduce(self, tensor: torch.Tensor, reduction: str) -> torch.Tensor:
        assert reduction == "sum"
        return tensor


@pytest.mark.parametrize(("images", "processes"), [(1, 2), (2, 3), (7, 2), (7, 3), (9, 2)])
def test_each_image_and_caption_is_embedded_by_one_process(
    tiny_clip: Path, colours, monkeypatch: pytest.MonkeyPatch, images: int, processes: int
) -> None:
    monkeypatch.setattr(retrieval_module, "TEXT_BATCH", 2)
    model, processor = load_model(tiny_clip).requires_grad_(False), load_processor(tiny_clip)
    frames, normalize = (
        Frames(colours(images), "image", processor.image_processor),
        Normalizer(processor.image_processor),
    )
    texts = tokenize(processor.tokenizer, [f"a red thing number {image}" for image in range(images)])

    def embedded(share: Share) -> torch.Tensor:
        pictures = embed_all_images(model, frames, normalize, share, 2, "test", show=False)
        return torch.stack([pictures, embed_captions(model, texts, share)])

    parts = [embedded(Share(index, processes)) for index in range(processes)]
    assert ((torch.stack(parts) != 0).any(dim=-1).sum(dim=0) == 1).all()
    torch.testing.assert_close(sum(parts), embedded(Share(0, 1)), atol=0, rtol=0)


@pytest.mark.slow
def test_accelerate_launch(recipe: Path) -> None:
    configuration = ROOT / "recipes" / "accelerate" / "cpu.yaml"
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(configuration)]
    done = subprocess.run(
        [*command, "-m", "hf_clcl.train", str(recipe)], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[:6000]
    assert (recipe.parent / "out" / "task-02-cold" / "config.json").exists()
