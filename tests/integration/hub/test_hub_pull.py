"""Whose repository it is, and what is pulled from it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file

from helpers.hub_runs import TAGS, assert_whole, contents, small_run
from hf_clcl import RunRecord
from hf_clcl.cli.hub import main
from hf_clcl.hub import list_tasks, pull_record, pull_run, pull_task, push_output
from hf_clcl.utils.errors import UserError


def test_a_different_run_is_refused(hub, small, stream, tmp_path):
    other = small_run(tmp_path / "other", created="2026-02-02T00:00:00+00:00", accuracy=[[9.0, 9.0]], finished=False)
    push_output(other, "me/taken")
    with pytest.raises(UserError, match=r"different run \(zscl, 1 of 2 tasks, started 2026-02-02") as caught:
        push_output(small, "me/taken")
    assert "--hub_overwrite" in str(caught.value) and "--resume_from_hub me/taken" in str(caught.value)
    with pytest.raises(UserError, match="different run"):
        stream(tmp_path / "run", push_to_hub=True, hub_model_id="me/taken")
    hub.fault("POST", "/preupload/", 404)
    with pytest.raises(UserError):
        push_output(small, "me/taken", overwrite=True)
    assert hub.repos["me/taken"].log == ["initial commit", "task-00-zero-shot", "task-01-a"]
    assert main(["push", str(small), "--hub_model_id", "me/taken", "--hub_overwrite"]) == 0
    assert sorted(hub.repos["me/taken"].tags) == ["task-00-zero-shot", "task-01-a", "task-02-b"]
    for name, content in contents(small / "task-01-a").items():
        assert hub.read("me/taken", name, "task-01-a") == content


def test_somebody_elses_model_is_refused(hub, small):
    hub.fault("POST", "/commit/", 404)
    with pytest.raises(UserError):
        push_output(small, "me/model")
    repo = hub.repos["me/model"]
    repo.commit({"README.md": hub.store(b"mine"), "model.safetensors": hub.store(b"mine")}, "my model")
    with pytest.raises(UserError, match="model.safetensors and no results.json"):
        push_output(small, "me/model")
    repo.commit({"README.md": hub.store(b"mine"), "LICENSE": hub.store(b"mine")}, "words alone")
    push_output(small, "me/model")
    assert hub.read("me/model", "LICENSE") == b"mine"


def test_a_checkpoint_that_is_gone_is_told_of(hub, small, caplog):
    shutil.rmtree(small / "task-01-a")
    assert push_output(small, "me/part") == ["task-00-zero-shot", "task-02-b"]
    assert "task-01-a cannot be pushed: its checkpoint does not exist in" in caplog.text


def test_a_model_that_learnt_all_tasks_at_once_is_one_revision(hub, small, caplog):
    joint = small_run(small.parent / "joint", method="my_upper_bound", trains_jointly=True)
    shutil.rmtree(joint / "task-01-a")
    assert push_output(joint, "me/joint") == ["task-00-zero-shot", "task-02-b"] and not caplog.text
    assert len(pull_record("me/joint").accuracy) == 2


def test_a_folder_of_adapters_is_pushed_as_it_is(hub, small):
    folder = small / "task-02-b"
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    (folder / "config.json").rename(folder / "adapter_config.json")
    push_output(small, "me/adapter")
    assert_whole(hub, "me/adapter", small)
    main = hub.repos["me/adapter"].commits[hub.repos["me/adapter"].branches["main"]]
    assert not {"model.safetensors", "config.json"} & main.keys()  # those of the task before


def test_pulling_a_run(hub, pushed, tmp_path, capsys):
    assert main(["list", "me/four"]) == 0
    assert capsys.readouterr().out.split() == TAGS
    assert main(["pull", "me/four", "--output", str(tmp_path / "new")]) == 0
    assert "has 4 of 4 tasks" in capsys.readouterr().out
    got, whole = contents(tmp_path / "new"), contents(pushed)
    assert {path.name for path in (tmp_path / "new").glob("task-*")} == {TAGS[4]}
    assert [name for name, content in got.items() if whole[name] != content] in ([], ["README.md"])
    assert main(["pull", "me/four", "--output", str(tmp_path / "new"), "--all"]) == 0
    assert {path.name for path in (tmp_path / "new").glob("task-*")} == set(TAGS[1:])
    assert main(["pull", "me/four", "--revision", "cold", "--output", str(tmp_path / "second")]) == 0
    assert len(RunRecord.load(tmp_path / "second").accuracy) == 2
    assert {path.name for path in (tmp_path / "second").glob("task-*")} == {TAGS[2]}
    assert pull_record("me/four", "pale").accuracy == RunRecord.load(pushed).accuracy[:3]
    cached = pull_task("me/four", TAGS[3])
    assert load_file(cached / "model.safetensors").keys() == load_file(pushed / TAGS[3] / "model.safetensors").keys()
    with pytest.raises(UserError, match="contains no weights"):
        pull_task("me/four", "zero-shot")


def test_repositories_are_compared_like_folders(hub, pushed, tmp_path, capsys):
    from hf_clcl.cli import compare

    assert compare.main(["me/four", "--output", str(tmp_path / "compared")]) == 0
    last = RunRecord.load(pushed).metrics["last"]
    assert f"{last:.1f}" in capsys.readouterr().out
    assert f"{last:.2f}" in (tmp_path / "compared" / "comparison.md").read_text()
    assert compare.main(["me/none", "--output", str(tmp_path / "compared")]) != 0
    assert "me/none" in capsys.readouterr().err


def test_pulling_never_mixes_runs(hub, pushed, small, tmp_path):
    push_output(small, "me/small")
    with pytest.raises(UserError, match="contains a different run than me/four"):
        pull_run("me/four", small)
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(UserError, match="contains README.md and no results.json"):
        pull_run("me/four", tmp_path)
    before = contents(small)
    assert pull_run("me/small", small).finished and contents(small) == before


def test_a_pull_that_breaks_leaves_nothing_half(hub, small, tmp_path):
    push_output(small, "me/breaks")
    fault = hub.fault("GET", "/resolve/.*safetensors", 500, times=10**6)
    with pytest.raises(UserError, match="me/breaks cannot be downloaded: 500"):
        pull_run("me/breaks", tmp_path / "new")
    assert contents(tmp_path / "new") == {}
    fault.times = 0
    assert pull_run("me/breaks", tmp_path / "new").finished


def test_names_from_the_hub_are_not_trusted(hub, small, tmp_path, caplog):
    push_output(small, "me/evil")
    repo = hub.repos["me/evil"]
    evil = ["../evil.json", "/tmp/hf_clcl_evil.json", "a/../../evil.json", ".git/evil.json", "evil.bin", "C:\\evil"]
    files = {**repo.commits[repo.branches["main"]], **dict.fromkeys(evil, hub.store(b"evil"))}
    repo.tags["task-02-b"] = repo.commit(files, "evil")
    pull_run("me/evil", tmp_path / "in" / "new")
    assert not [path for path in tmp_path.rglob("*") if "evil" in path.name or ".git" in path.parts]
    assert not Path("/tmp/hf_clcl_evil.json").exists() and "evil.bin" in caplog.text
    record = json.loads(hub.read("me/evil", "results.json"))
    record["tasks"][1] = "../../evil"
    repo.tags["task-02-b"] = repo.commit({**files, "results.json": hub.store(json.dumps(record).encode())}, "worse")
    with pytest.raises(UserError, match="tasks: must be names of folders"):
        pull_run("me/evil", tmp_path / "in" / "newer")
    repo.tags["task-03-../x"] = repo.tags["task-02-b"]
    assert list_tasks("me/evil") == ["task-00-zero-shot", "task-01-a", "task-02-b"]
    files["pytorch_model.bin"] = files.pop("model.safetensors")
    repo.tags["task-02-b"] = repo.commit(files, "pickles")
    with pytest.raises(UserError, match="contains no weights in safetensors"):
        pull_task("me/evil", "b")
