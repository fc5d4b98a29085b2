"""Full and read-only disks, checkpoints that are kept, room that is asked for before a run, memory that runs out."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from hf_clcl import ContinualTrainingArguments, RunRecord
from hf_clcl.cli.train import main
from hf_clcl.evaluation.zero_shot import ZeroShotEvaluator
from hf_clcl.stream import stream as stream_module
from hf_clcl.stream.faults import check_room
from hf_clcl.training.trainer import ContinualTrainer
from hf_clcl.utils.errors import UserError

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own of 1 MB, in memory."""
    if not sys.platform.startswith("linux") or os.geteuid():
        pytest.skip("mounting a small disk needs Linux and root")
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def weights(folder: Path) -> dict[str, bytes]:
    return {
        f"{path.parent.name}: {name}": tensor.numpy().tobytes()
        for path in folder.glob("task-*/model.safetensors")
        for name, tensor in load_file(path).items()
    }


def test_a_full_disk_stops_a_run_that_goes_on_when_there_is_room(
    short_stream, small_disk: Path, tmp_path: Path, monkeypatch, caplog
) -> None:
    out = small_disk / "out"
    with monkeypatch.context() as patch:
        patch.setattr(stream_module, "check_room", lambda *args: None)
        with pytest.raises(UserError, match=r"cannot be written to: .*MB are free\)\. Finished tasks .* are kept"):
            short_stream(out, "finetune", save_steps=1, save_total_limit=2)
    assert not list(out.rglob("*.partial")), "what could not be written takes the room of what can"
    assert RunRecord.load(out).zero_shot is not None
    with pytest.raises(UserError, match=r"MB free; about \d+ MB are needed: 2 tasks of 0 MB"):  # asked before
        short_stream(out, "finetune", save_steps=1, save_total_limit=2)
    remount(small_disk, "size=30m")
    short_stream(out, "finetune", save_steps=1, save_total_limit=2)
    short_stream(tmp_path / "whole", "finetune")
    assert weights(out) == weights(tmp_path / "whole")


def test_a_read_only_folder_is_refused_before_anything_is_read(recipe: Path, small_disk: Path, capsys) -> None:
    remount(small_disk, "ro")
    shutil.rmtree(recipe.parent / "warm")  # reading data would be another error
    assert main([str(recipe), "--output_dir", str(small_disk / "out")]) == 1
    assert f"{small_disk} is read-only or belongs to another user" in (shown := capsys.readouterr().err)
    assert "choose another with --output_dir" in shown and "Traceback" not in shown


@pytest.mark.parametrize("part", ["checkpoint", "task folder", "results.json"])
def test_no_room_for_any_part_is_told_and_nothing_half_written_stays(
    short_stream, tmp_path: Path, monkeypatch, part: str
) -> None:
    wanted = {"checkpoint": "checkpoint-", "task folder": ".task-01-t0", "results.json": ".results."}[part]
    original = os.fsync

    def fsync(descriptor: int) -> None:  # the last that the system is asked for
        if wanted in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(descriptor)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("which file is flushed is only known where there is /proc")
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fsync)
        with pytest.raises(UserError, match="No space left on device .*Free some disk space"):
            short_stream(tmp_path / "out", "finetune")
    names = [path.name for path in (tmp_path / "out").rglob("*")]
    assert not [name for name in names if ".partial" in name or name.startswith(".")]
    short_stream(tmp_path / "out", "finetune")
    short_stream(tmp_path / "whole", "finetune")
    assert weights(tmp_path / "out") == weights(tmp_path / "whole")


def test_so_many_checkpoints_are_kept_within_a_task_and_every_finished_task(
    short_stream, tmp_path: Path, monkeypatch
) -> None:
    original, seen = ContinualTrainer._save_checkpoint, []

    def save(self, *args):
        original(self, *args)
        seen.append(sorted(path.name for path in Path(self.args.output_dir).iterdir()))

    monkeypatch.setattr(ContinualTrainer, "_save_checkpoint", save)
    short_stream(tmp_path, "finetune", save_steps=1, save_total_limit=2)
    a_task = [["checkpoint-1"], *([f"checkpoint-{k - 1}", f"checkpoint-{k}"] for k in (2, 3, 4))]
    assert [names for names in seen if names] == [*a_task, a_task[-1]] * 2  # at the last step there is none to write
    assert sorted(path.name for path in tmp_path.glob("*") if path.is_dir()) == ["task-01-t0", "task-02-t5"]


@pytest.mark.parametrize(
    ("free_mb", "found"),
    [(4000, None), (3100, "warned"), (1500, "refused")],
)
def test_room_is_asked_for_before_a_run(tmp_path: Path, monkeypatch, caplog, free_mb: int, found: str | None) -> None:
    """1 MB of weights a million parameters: 4 tasks of 400 MB, 2 checkpoints of 1000 MB less what is frozen."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, free_mb * 2**20))
    record = RunRecord("finetune", "m", [], total_parameters=100 * 2**20, trainable_parameters=50 * 2**20)
    args = ContinualTrainingArguments(output_dir=str(tmp_path), save_steps=200)
    if found == "refused":
        match = r"1,500 MB free; about 3,600 MB are needed: 4 tasks of 400 MB each, and 2,000 MB for checkpoints"
        with pytest.raises(UserError, match=match):
            check_room(tmp_path / "not" / "yet", args, record, [1000] * 4)
        return
    check_room(tmp_path / "not" / "yet", args, record, [1000] * 4)
    assert bool(found) == ("The run starts, and will stop when the disk is full" in caplog.text)
    caplog.clear()
    check_room(tmp_path, args, record, [200])  # a task without a checkpoint within it
    assert not caplog.records


def test_memory_that_runs_out_while_training_is_told_with_advice(recipe: Path, monkeypatch, capsys) -> None:
    def training_step(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(ContinualTrainer, "training_step", training_step)
    assert main([str(recipe)]) == 1
    shown = capsys.readouterr().err
    assert "error: training on warm: out of memory" in shown and "Tried to allocate 2.00 GiB" in shown
    for advice in (
        "per_device_train_batch_size: 3 with gradient_accumulation_steps: 2 (they are 6 and 1)",
        "gradient_checkpointing: true", "bf16: true", "per_device_reference_batch_size: 3", "(LoRA)",
    ):  # fmt: skip
        assert advice in shown
    assert "Traceback" not in shown


def test_memory_of_the_machine_that_runs_out_while_evaluating(recipe: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(ZeroShotEvaluator, "__call__", lambda *args: torch.empty(2**50))  # as the allocator tells it
    assert main([str(recipe)]) == 1
    shown = capsys.readouterr().err
    assert "evaluation before training: out of memory on the CPU" in shown
    assert "per_device_eval_batch_size: 64 (it is 128)" in shown and "Traceback" not in shown
