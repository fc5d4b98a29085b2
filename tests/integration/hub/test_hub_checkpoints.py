"""Checkpoints within a task on the Hub: whole or not at all, gone on with elsewhere, and nothing pickled."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import time
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers.hub_protocol import TOKEN
from helpers.hub_runs import NAMES, TAGS, contents, small_run
from hf_clcl import RunRecord
from hf_clcl.cli.hub import main
from hf_clcl.hub import HubPusher, list_checkpoints, list_tasks, pull_run, push_output
from hf_clcl.hub.checkpoints import checkpoint_in
from hf_clcl.training.interruption import Interrupted
from hf_clcl.training.trainer import ContinualTrainer
from hf_clcl.utils.errors import UserError

PLACE = "checkpoints/task-02-b"


def checkpoint(run, step):
    """A checkpoint of the second task of a small run, as the trainer writes it."""
    folder = run / PLACE / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    save_file({"weight": torch.randn(9)}, folder / "model.safetensors")
    torch.save({"state": {0: {"step": torch.tensor(float(step)), "exp_avg": torch.randn(5)}}}, folder / "optimizer.pt")
    (folder / "trainer_state.json").write_text("{}")
    (folder / "training_args.bin").write_bytes(pickle.dumps("this machine"))
    return folder


@pytest.fixture
def stopped(tmp_path):
    """A run that stopped in its second task, after a checkpoint at step 4."""
    folder = small_run(
        tmp_path / "stopped", tasks=["a", "b"], accuracy=[[3.0, 2.0]], finished=False,
        recipe={"hub_strategy": "checkpoint"},
    )  # fmt: skip
    shutil.rmtree(folder / "task-02-b")
    checkpoint(folder, 4)
    return folder


@pytest.fixture
def pusher(stopped):
    """Makes the pusher of that run."""

    def make(repo_id, strategy="checkpoint"):
        values = SimpleNamespace(
            hub_model_id=repo_id, hub_private_repo=None, hub_overwrite=False, hub_token_env=None, hub_strategy=strategy
        )
        return HubPusher(stopped, RunRecord.load(stopped), values)

    return make


def on_branch(hub, repo_id):
    repo = hub.repos[repo_id]
    return set(repo.commits[repo.branches["in-progress"]]) if "in-progress" in repo.branches else set()


def save(pusher, folder):
    """What the trainer calls once it has written a checkpoint."""
    arguments, state = SimpleNamespace(output_dir=folder.parent), SimpleNamespace(global_step=int(folder.name[11:]))
    for callback in pusher.callbacks():
        callback.on_save(arguments, state, None)


def test_a_run_goes_on_within_a_task_on_another_machine(hub, stream, pushed, tmp_path, monkeypatch):
    """A machine is taken away within the third task; another one goes on from the step where it stood."""
    repo_id, original, calls = "me/within", ContinualTrainer.training_step, []
    pull_run("me/four", tmp_path / "first", "cold", all_tasks=True)

    def training_step(*args, **kwargs):
        calls.append(1)
        if len(calls) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(*args, **kwargs)

    monkeypatch.setattr(ContinualTrainer, "training_step", training_step)
    values = {"push_to_hub": True, "hub_model_id": repo_id, "hub_strategy": "checkpoint", "save_steps": 500}
    with pytest.raises(Interrupted):
        stream(tmp_path / "first", **values)
    assert list_tasks(repo_id) == TAGS[:3] and len(calls) == 1
    place = f"checkpoints/{TAGS[3]}/checkpoint-1"
    assert list_checkpoints(repo_id) == [place]
    held = {name.removeprefix(place + "/") for name in on_branch(hub, repo_id)}
    assert {"model.safetensors", "optimizer.safetensors", "rng_state.safetensors", "method_state.safetensors"} <= held
    assert not [name for name in held if name.endswith((".pt", ".pth", ".bin"))]
    assert not [path for path in hub.repos[repo_id].commits[hub.repos[repo_id].branches["main"]] if "check" in path]

    record = stream(tmp_path / "second", resume_from_hub=repo_id, **values)
    whole = RunRecord.load(pushed)
    assert len(calls) == 1 + 1 + 2  # one step of the third task and both of the fourth
    assert record.accuracy == whole.accuracy
    assert [entry["loss"] for entry in record.losses] == [entry["loss"] for entry in whole.losses]
    for tag in TAGS[3:]:
        first, second = (load_file(run / tag / "model.safetensors") for run in (pushed, tmp_path / "second"))
        assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    assert list_tasks(repo_id) == TAGS and hub.repos[repo_id].log == ["initial commit", *TAGS]
    assert set(hub.repos[repo_id].branches) == {"main"} and not (tmp_path / "second" / ".hub").exists()


def test_all_checkpoints_stay(hub, stream, tmp_path, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setenv("MY_HUB_SECRET", TOKEN)
    values = {"hub_strategy": "all_checkpoints", "hub_token_env": "MY_HUB_SECRET", "max_steps": 3}
    stream(tmp_path, NAMES[:1], push_to_hub=True, hub_model_id="me/all", **values)
    assert list_checkpoints("me/all", TOKEN) == [f"checkpoints/{TAGS[1]}/checkpoint-{step}" for step in (1, 2)]
    assert push_output(tmp_path, "me/all", token=TOKEN) == []
    assert list_tasks("me/all", TOKEN) == TAGS[:2] and len(list_checkpoints("me/all", TOKEN)) == 2
    assert not [name for name, content in contents(hub.folder).items() if TOKEN.encode() in content]


def test_the_newest_is_pushed_beside_training(hub, stopped, pusher):
    """While the Hub is slow, training goes on, and the checkpoints that were overtaken are never sent."""
    with pusher("me/newest") as slow, hub.lock:
        slow.push(RunRecord.load(stopped))
        for step in (5, 6, 7):
            save(slow, checkpoint(stopped, step))
            shutil.rmtree(stopped / PLACE / f"checkpoint-{step - 1}")  # as the trainer keeps one
    assert list_checkpoints("me/newest") == [f"{PLACE}/checkpoint-7"]
    assert hub.repos["me/newest"].logs["in-progress"] == [f"{PLACE}/checkpoint-7"]
    assert not list(stopped.glob(".hub*"))


def test_a_hub_that_is_down_stops_nothing(hub, stopped, pusher, caplog):
    with pusher("me/dark") as patient:
        patient.push(RunRecord.load(stopped))
        while not hub.repos["me/dark"].tags.keys() >= {"task-01-a"}:
            time.sleep(0.01)
        hub.stop()
        try:
            save(patient, checkpoint(stopped, 5))
            while "the push is tried again" not in caplog.text:
                time.sleep(0.01)
        finally:
            hub.start()
    assert list_checkpoints("me/dark") == [f"{PLACE}/checkpoint-5"]


def test_a_checkpoint_that_cannot_be_read_stops_nothing(hub, stopped, pusher, caplog):
    folder = checkpoint(stopped, 5)
    (folder / "optimizer.pt").write_bytes(pickle.dumps(_Evil()))
    with pusher("me/unreadable") as patient:
        patient.push(RunRecord.load(stopped))
        save(patient, folder)
    assert list_checkpoints("me/unreadable") == [] and "checkpoint-5 could not be pushed" in caplog.text
    assert list_tasks("me/unreadable") == ["task-00-zero-shot", "task-01-a"]
    assert not _Evil.loaded


class _Evil:
    loaded: list[int] = []

    def __reduce__(self):
        return _Evil.loaded.append, (1,)


def test_the_command_pushes_what_is_pending(hub, stopped, capsys):
    assert main(["push", str(stopped), "--hub_model_id", "me/pending"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"pushed {PLACE}/checkpoint-4"
    assert main(["push", str(stopped), "--hub_model_id", "me/pending"]) == 0
    assert "nothing to push" in capsys.readouterr().out
    assert main(["list", "me/pending"]) == 0
    assert capsys.readouterr().out.split() == ["task-00-zero-shot", "task-01-a", f"{PLACE}/checkpoint-4"]
    checkpoint(stopped, 12)
    push_output(stopped, "me/pending")
    assert list_checkpoints("me/pending") == [f"{PLACE}/checkpoint-12"]
    finished = small_run(stopped.parent / "finished", recipe={"hub_strategy": "checkpoint"})
    hub.fault("DELETE", "/branch/", drop="after")
    assert push_output(finished, "me/pending") == ["task-02-b"]
    assert "in-progress" not in hub.repos["me/pending"].branches


@pytest.mark.parametrize("path", ["/branch/", "/preupload/in-progress", "/lfs/", "/commit/in-progress"])
@pytest.mark.parametrize("kind", [{"drop": "middle"}, {"status": 500}, {"drop": "after"}])
def test_a_checkpoint_is_whole_or_not_there(hub, stopped, tmp_path, path, kind):
    repo_id = f"me/half{path.replace('/', '-')}{kind.get('drop', 500)}"
    push_output(stopped, repo_id)
    before = on_branch(hub, repo_id)
    checkpoint(stopped, 5)
    fault = hub.fault("POST|PUT", path, times=10**6, **kind)
    lost_answer = kind == {"drop": "after"} and path != "/preupload/in-progress"
    try:
        push_output(stopped, repo_id)
    except UserError as error:
        assert "Run the same command again" in str(error)
    assert fault.times < 10**6
    after = on_branch(hub, repo_id)
    assert after == before or (lost_answer and after == {name.replace("-4/", "-5/") for name in before})
    fault.times = 0
    push_output(stopped, repo_id)
    assert list_checkpoints(repo_id) == [f"{PLACE}/checkpoint-5"]
    pull_run(repo_id, tmp_path / "pulled")
    ours = contents(stopped / PLACE / "checkpoint-5")
    theirs = contents(tmp_path / "pulled" / PLACE / "checkpoint-5")
    assert theirs.keys() == ours.keys() - {"training_args.bin"}
    assert theirs["model.safetensors"] == ours["model.safetensors"]
    first, second = (
        torch.load(run / PLACE / "checkpoint-5" / "optimizer.pt", weights_only=True)["state"][0]
        for run in (stopped, tmp_path / "pulled")
    )
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_what_is_pulled_is_of_the_running_task_and_newer(hub, stopped, tmp_path):
    push_output(stopped, "me/newer")
    here = tmp_path / "here"
    assert main(["pull", "me/newer", "--revision", "a", "--output", str(here)]) == 0
    assert not (here / "checkpoints").exists()  # a state that was asked for is that state
    pull_run("me/newer", here)
    (here / PLACE / "checkpoint-4").rename(here / PLACE / "checkpoint-6")
    pull_run("me/newer", here)
    assert [folder.name for folder in (here / PLACE).iterdir()] == ["checkpoint-6"]
    repo = hub.repos["me/newer"]
    files = repo.commits[repo.branches["in-progress"]]
    repo.commit({name.replace("task-02-b", "task-03-c"): sha for name, sha in files.items()}, "foreign", "in-progress")
    pull_run("me/newer", tmp_path / "there")
    assert not (tmp_path / "there" / "checkpoints").exists()


def test_a_branch_is_not_trusted(hub, stopped, tmp_path, caplog):
    push_output(stopped, "me/hostile")
    repo, evil = hub.repos["me/hostile"], hub.store(pickle.dumps(_Evil()))
    files = repo.commits[repo.branches["in-progress"]]
    place = f"{PLACE}/checkpoint-4"
    names = [f"{place}/{name}" for name in ("scheduler.pt", "rng_state.pth", "training_args.bin", "../../../x.json")]
    repo.commit({**files, **dict.fromkeys(names, evil)}, "pickles", "in-progress")
    pull_run("me/hostile", tmp_path / "in" / "out")
    pulled = contents(tmp_path / "in")
    assert f"out/{place}/optimizer.pt" in pulled and pickle.dumps(_Evil()) not in pulled.values()
    assert not [name for name in pulled if name.endswith(("scheduler.pt", ".pth", ".bin", "x.json"))]
    assert "scheduler.pt" in caplog.text
    repo.commit({**files, f"{place}/optimizer.safetensors": evil}, "worse", "in-progress")
    with pytest.raises(UserError, match="optimizer.safetensors contains no training state"):
        pull_run("me/hostile", tmp_path / "other")
    assert not (tmp_path / "other" / "checkpoints").exists() and not list((tmp_path / "other").glob(".pull*"))


def test_another_run_takes_the_branch_away(hub, stopped, tmp_path):
    push_output(stopped, "me/replaced")
    other = small_run(tmp_path / "other", created="2026-02-02T00:00:00+00:00")
    push_output(other, "me/replaced", overwrite=True)
    assert set(hub.repos["me/replaced"].branches) == {"main"}


def test_staging_costs_no_copy_where_it_can(stopped):
    from hf_clcl.hub.checkpoints import stage

    folder = stopped / PLACE / "checkpoint-4"
    kept = stage(checkpoint_in(folder), stopped / "kept").folder
    assert os.path.samefile(kept / "model.safetensors", folder / "model.safetensors")
    assert contents(kept) == contents(folder)
