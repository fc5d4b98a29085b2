"""Checkpoints that are not whole: recognised when a run goes on, named, and never gone on from."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

from hf_clcl import RunRecord
from hf_clcl.training.checkpoints import damage, last_intact_checkpoint
from hf_clcl.training.trainer import ContinualTrainer
from hf_clcl.utils.errors import UserError


class Stopped(Exception):
    """Stands for a process that dies."""


def cut(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def emptied(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "weights cut": (lambda folder: cut(folder / "model.safetensors"), "model.safetensors cannot be read"),
    "weights empty": (lambda folder: (folder / "model.safetensors").write_bytes(b""), "model.safetensors cannot"),
    "weights of zeros": (lambda folder: (folder / "model.safetensors").write_bytes(bytes(5000)), "model.safetensors"),
    "method cut": (lambda folder: cut(folder / "method_state.safetensors"), "method_state.safetensors cannot be read"),
    "optimiser cut": (lambda folder: cut(folder / "optimizer.pt"), "optimizer.pt cannot be read"),
    "random numbers missing": (lambda folder: (folder / "rng_state.pth").unlink(), "rng_state.* is missing"),
    "schedule missing": (lambda folder: (folder / "scheduler.pt").unlink(), "scheduler.pt is missing"),
    "state cut": (lambda folder: cut(folder / "trainer_state.json"), "trainer_state.json cannot be read"),
    "state of another step": (
        lambda folder: shutil.copy(folder.with_name("checkpoint-2") / "trainer_state.json", folder),
        "trainer_state.json belongs to step 2",
    ),
    "configuration cut": (lambda folder: cut(folder / "config.json"), "config.json cannot be read"),
    "nothing": (emptied, "it is empty"),
}


@pytest.fixture
def stopped(short_stream, monkeypatch) -> Callable[[Path], Path]:
    """Stops a run of iCaRL in the second task, which leaves three checkpoints; returns their folder."""

    def run(folder: Path) -> Path:
        original, calls = ContinualTrainer.training_step, []

        def training_step(*args, **kwargs):
            calls.append(1)
            if len(calls) == 9:
                raise Stopped
            return original(*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(ContinualTrainer, "training_step", training_step)
            with pytest.raises(Stopped):
                short_stream(folder, "icarl", {"memory": 11}, save_steps=1, save_total_limit=3)
        return folder / "checkpoints" / "task-02-t5"

    return run


def weights(folder: Path) -> dict[str, bytes]:
    return {
        f"{path.relative_to(folder)}: {name}": tensor.numpy().tobytes()
        for path in folder.glob("task-*/*.safetensors")
        for name, tensor in load_file(path).items()
    }


def test_every_kind_of_damage_is_recognised(stopped, tmp_path, caplog) -> None:
    checkpoints = stopped(tmp_path / "run")
    assert last_intact_checkpoint(checkpoints).name == "checkpoint-3" and not caplog.records
    for number, (kind, (harm, words)) in enumerate(DAMAGES.items()):
        copy = shutil.copytree(checkpoints, tmp_path / str(number))
        harm(copy / "checkpoint-3")
        caplog.clear()
        assert last_intact_checkpoint(copy).name == "checkpoint-2", kind
        assert "checkpoint-3 is damaged (" in caplog.text and words.replace(".*", "*.pth") in caplog.text, kind
        assert (copy / "damaged-checkpoint-3").is_dir() and not (copy / "checkpoint-3").exists()


@pytest.mark.slow
def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one(short_stream, stopped, tmp_path, caplog) -> None:
    values = {"save_steps": 1, "save_total_limit": 3}
    short_stream(tmp_path / "whole", "icarl", {"memory": 11}, **values)
    checkpoints, out = stopped(tmp_path / "run"), tmp_path / "run"
    cut(checkpoints / "checkpoint-3" / "model.safetensors")
    emptied(checkpoints / "checkpoint-2")
    for left in (".results.4711.partial.json", ".task-02-t5.4711.partial", ".pull-abc"):
        (out / left).mkdir()
    (checkpoints / ".partial" / "checkpoint-4").mkdir(parents=True)
    with caplog.at_level(logging.WARNING):
        record = short_stream(out, "icarl", {"memory": 11}, **values)
    assert "resuming from checkpoint-1" in caplog.text and "checkpoint-2 is damaged (it is empty)" in caplog.text
    assert weights(out) == weights(tmp_path / "whole")
    assert record.losses == RunRecord.load(tmp_path / "whole").losses
    assert not [path.name for path in out.iterdir() if path.name.startswith(".") or path.name == "checkpoints"]


@pytest.mark.slow
def test_without_any_whole_checkpoint_the_task_begins_anew(short_stream, stopped, tmp_path) -> None:
    checkpoints = stopped(tmp_path / "run")
    for checkpoint in checkpoints.glob("checkpoint-*"):
        emptied(checkpoint)
    short_stream(tmp_path / "run", "icarl", {"memory": 11}, save_steps=1, save_total_limit=3)
    short_stream(tmp_path / "whole", "icarl", {"memory": 11})
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


@pytest.mark.slow
def test_a_damaged_task_is_refused_and_learnt_anew_when_its_folder_is_deleted(
    short_stream, stopped, tmp_path, caplog
) -> None:
    stopped(tmp_path / "run")
    task = tmp_path / "run" / "task-01-t0"
    method_state = (task / "method_state.safetensors").read_bytes()
    (task / "method_state.safetensors").unlink()  # else the exemplars would be forgotten without a word
    with pytest.raises(
        UserError, match=r"task-01-t0 is damaged: method_state.safetensors is missing.*otherwise delete it"
    ):
        short_stream(tmp_path / "run", "icarl", {"memory": 11})
    (task / "method_state.safetensors").write_bytes(method_state)
    cut(task / "model.safetensors")
    with pytest.raises(UserError, match=r"task-01-t0 is damaged: model.safetensors cannot be read"):
        short_stream(tmp_path / "run", "icarl", {"memory": 11})
    shutil.rmtree(task)
    record = short_stream(tmp_path / "run", "icarl", {"memory": 11})
    assert "task-01-t0 is missing: the stream resumes from its start" in caplog.text
    whole = short_stream(tmp_path / "whole", "icarl", {"memory": 11})
    assert record.accuracy == whole.accuracy and record.losses == whole.losses
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


def test_a_folder_without_anything_is_damaged(tmp_path) -> None:
    assert damage(tmp_path, []) == "it is empty"
