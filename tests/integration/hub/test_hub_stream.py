"""A stream on the Hub: pushed as it goes, loaded by revision, gone on with elsewhere, also when the Hub is down."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from helpers.hub_runs import NAMES, TAGS, Stopped, assert_whole, contents, python_of
from hf_clcl import RunRecord
from hf_clcl.hub import list_tasks, push_output
from hf_clcl.stream import output as output_module
from hf_clcl.stream.output import OutputFolder
from hf_clcl.training.trainer import ContinualTrainer
from hf_clcl.utils.errors import UserError


def test_every_task_is_a_revision(hub, pushed):
    assert list_tasks("me/four") == TAGS
    assert_whole(hub, "me/four", pushed)
    repo = hub.repos["me/four"]
    start = set(repo.commits[repo.tags["task-00-zero-shot"]])
    assert start == {
        ".gitattributes", "README.md", "results.json", "recipe.yaml", "base_model.json",
        "matrix.png", "matrix.svg", "curves.png", "curves.svg",
    }  # fmt: skip
    assert set(repo.commits[repo.branches["main"]]) == start - {"base_model.json"} | {
        path.name for path in (pushed / TAGS[4]).iterdir()
    }
    record = RunRecord.load(pushed)
    for count, tag in enumerate(TAGS):
        held = RunRecord.from_dict(json.loads(hub.read("me/four", "results.json", tag)))
        assert held.accuracy == record.accuracy[:count] and held.finished == (count == 4)
        assert hub.read("me/four", "matrix.png", tag) == f"matrix after {count} tasks".encode()
    assert "The state after task 2 of 4, cold." in hub.read("me/four", "README.md", TAGS[2]).decode()
    card = hub.read("me/four", "README.md").decode().replace("'", '"')
    assert 'model="me/four", revision="task-04-deep"' in card


def test_every_revision_is_a_plain_clip(hub, pushed, colours, capsys):
    from transformers import CLIPModel, pipeline

    for tag in TAGS[1:]:
        model = CLIPModel.from_pretrained("me/four", revision=tag)
        for name, tensor in CLIPModel.from_pretrained(pushed / tag).state_dict().items():
            assert torch.equal(model.state_dict()[name], tensor)
    classify = pipeline("zero-shot-image-classification", model="me/four")
    assert len(classify(colours(1)[0]["image"], candidate_labels=["red", "blue"])) == 2
    exec(python_of(hub.read("me/four", "README.md", TAGS[2]).decode())[0], {})  # the code of the card runs
    assert capsys.readouterr().out.count("'score'") == 3


def test_the_same_again_changes_nothing(hub, stream, pushed):
    before = contents(pushed)
    assert push_output(pushed, "me/four") == []
    stream(pushed, push_to_hub=True, hub_model_id="me/four")
    assert contents(pushed) == before
    assert not [path for method, path in hub.requests if "/commit/" in path or "/tag/" in path]
    assert_whole(hub, "me/four", pushed)


@pytest.mark.slow
def test_a_run_goes_on_from_the_hub_on_another_machine(hub, stream, pushed, tmp_path, monkeypatch):
    repo_id, original, calls = "me/stopped", ContinualTrainer.training_step, []

    def stopping(*args, **kwargs):
        calls.append(1)
        if len(calls) == 6:  # within the third task
            raise Stopped
        return original(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(ContinualTrainer, "training_step", stopping)
        with pytest.raises(Stopped):
            stream(tmp_path / "first", push_to_hub=True, hub_model_id=repo_id)
    assert list_tasks(repo_id) == TAGS[:3]
    record = stream(tmp_path / "second", resume_from_hub=repo_id, push_to_hub=True, hub_model_id=repo_id)
    whole = RunRecord.load(pushed)
    assert record.accuracy == whole.accuracy and record.zero_shot == whole.zero_shot
    assert not (tmp_path / "second" / TAGS[1]).exists()  # the last task is enough to go on
    for tag in TAGS[3:]:
        first, second = (load_file(run / tag / "model.safetensors") for run in (pushed, tmp_path / "second"))
        assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    assert list_tasks(repo_id) == TAGS and hub.repos[repo_id].log == ["initial commit", *TAGS]


def test_nothing_is_fetched_into_the_folder_of_a_run_at_work(hub, stream, pushed, tmp_path, monkeypatch):
    monkeypatch.setattr(output_module, "LOCK_SECONDS", 0.2)
    with contextlib.closing(OutputFolder(tmp_path, writes=True)) as at_work:
        at_work.claim()
        with pytest.raises(UserError, match="another run uses"):
            stream(tmp_path, resume_from_hub="me/four")
    assert not list(tmp_path.iterdir())


def test_pushing_at_the_end_only(hub, stream, tmp_path, monkeypatch):
    original = ContinualTrainer.train

    def train(*args, **kwargs):
        assert hub.repos["me/end"].log == ["initial commit"]
        return original(*args, **kwargs)

    monkeypatch.setattr(ContinualTrainer, "train", train)
    values = {"hub_strategy": "end", "hub_private_repo": True}
    stream(tmp_path, NAMES[:2], push_to_hub=True, hub_model_id="me/end", **values)
    assert_whole(hub, "me/end", tmp_path)
    assert hub.repos["me/end"].private


def test_a_hub_that_is_down_for_a_task_stops_nothing(hub, stream, tmp_path, monkeypatch, caplog):
    original, calls = ContinualTrainer.train, []

    def train(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            while len(hub.repos["me/down"].tags) < 2:
                time.sleep(0.01)
            hub.stop()
        if len(calls) == 4:
            while "the push is tried again" not in caplog.text:
                time.sleep(0.01)
            hub.start()
        return original(*args, **kwargs)

    monkeypatch.setattr(ContinualTrainer, "train", train)
    record = stream(tmp_path, push_to_hub=True, hub_model_id="me/down")
    assert len(calls) == 4 and record.finished
    assert_whole(hub, "me/down", tmp_path)


def test_a_hub_that_stays_down_is_pushed_to_later(hub, stream, tmp_path, caplog):
    hub.stop()
    try:
        assert stream(tmp_path, NAMES[:1], push_to_hub=True, hub_model_id="me/later").finished
    finally:
        hub.start()
    assert "me/later cannot be reached" in caplog.text
    command = ["-m", "hf_clcl.hub", "push", str(tmp_path), "--hub_model_id", "me/later"]
    assert f"python {' '.join(command)}" in caplog.text
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}
    run = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0 and run.stdout.splitlines() == [f"pushed {tag}" for tag in TAGS[:2]], run.stderr
    assert_whole(hub, "me/later", tmp_path)
