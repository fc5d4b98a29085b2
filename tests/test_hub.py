"""Pushing, pulling and resuming through a Hub on this machine, with the real client, and with all that goes wrong."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hub_server import READ_TOKEN, TOKEN, LoopbackHub
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from hf_clcl import RunRecord, Task, run_stream
from hf_clcl.errors import RecipeError, UserError
from hf_clcl.hub import list_tasks, pull_record, pull_run, pull_task, push_output
from hf_clcl.hub.__main__ import main
from hf_clcl.trainer import ContinualTrainer

NAMES = ["warm", "cold", "pale", "deep"]
TAGS = ["task-00-zero-shot", *(f"task-{index:02d}-{name}" for index, name in enumerate(NAMES, 1))]


class Stopped(Exception):
    """Stands for a process that dies."""


@pytest.fixture(scope="module")
def online(tmp_path_factory):
    """A Hub for the real client, which reads where it lies at import."""
    hub = LoopbackHub(tmp_path_factory.mktemp("hub"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "ENDPOINT", hub.url)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        patch.setattr(constants, "HF_HUB_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("HF_TOKEN", TOKEN)
        yield hub
    hub.stop()


@pytest.fixture(scope="module", autouse=True)
def quick_plots():
    """Plots have tests of their own; here they would take most of the time."""

    def draw(stem):
        def plot(record, folder):
            files = [Path(folder, f"{stem}.{suffix}") for suffix in ("png", "svg")]
            for file in files:
                file.write_bytes(f"{stem} after {len(record.accuracy)} tasks".encode())
            return files

        return plot

    with pytest.MonkeyPatch.context() as patch:
        for module in ("hf_clcl.output", "hf_clcl.cards"):
            patch.setattr(f"{module}.plot_matrix", draw("matrix"))
            patch.setattr(f"{module}.plot_curves", draw("curves"))
        yield


@pytest.fixture
def hub(online, monkeypatch):
    """The Hub without faults; `hub.waits` is how long the client would have waited for it."""
    waits = []
    now = type("time", (), {"sleep": waits.append, "time": time.time, "monotonic": time.monotonic})
    for module in ("hf_clcl.hub.client", "huggingface_hub.utils._http", "huggingface_hub.file_download"):
        monkeypatch.setattr(f"{module}.time", now)
    online.faults.clear()
    online.requests.clear()
    online.waits = waits
    return online


@pytest.fixture(scope="module")
def stream(tiny_clip, colours):
    """Runs tasks on colour images; keywords are those of `run_stream`."""
    data = {name: (colours(16, seed=seed), colours(9, seed=seed + 50)) for seed, name in enumerate(NAMES)}

    def run(folder, names=NAMES, **values):
        return run_stream(
            str(tiny_clip), [Task(name, train=data[name][0], test=data[name][1]) for name in names], "zscl",
            method_options={"averaging_interval": 1}, reference_images=colours(8, seed=7),
            reference_texts=["a red thing", "a blue thing"], output_dir=str(folder),
            **{"max_steps": 2, "save_steps": 1, "logging_steps": 1, "per_device_train_batch_size": 8,
               "learning_rate": 1e-3, "disable_tqdm": True, **values},
        )  # fmt: skip

    return run


@pytest.fixture(scope="module")
def pushed(online, stream, tmp_path_factory):
    """A whole run that was pushed to `me/four` as it went, with a token from a variable of its own."""
    folder = tmp_path_factory.mktemp("four")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("HF_TOKEN")
        patch.setenv("MY_HUB_SECRET", TOKEN)
        stream(folder, push_to_hub=True, hub_model_id="me/four", hub_token_env="MY_HUB_SECRET")
    return folder


@pytest.fixture
def small(tmp_path):
    """A finished run of two tasks that nobody trained, with weights of a few bytes."""
    return small_run(tmp_path / "small")


def small_run(folder, size=8, **values):
    record = RunRecord("zscl", "me/base", ["a", "b"], [1.0, 2.0], [[3.0, 2.0], [2.5, 4.0]], finished=True,
                       created="2026-01-01T00:00:00+00:00")  # fmt: skip
    for index, name in enumerate(record.tasks):
        task = folder / f"task-{index + 1:02d}-{name}"
        task.mkdir(parents=True)
        anew = torch.Generator()
        anew.seed()  # weights that the Hub has not seen, so that it has to be sent them
        save_file({"weight": torch.randn(size, generator=anew)}, task / "model.safetensors")
        (task / "config.json").write_text(json.dumps({"task": name}))
    for key, value in values.items():
        setattr(record, key, value)
    record.save(folder / "results.json")
    return folder


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_whole(hub, repo_id, folder):
    """Every revision holds the checkpoint of its task, `main` is the last, and nothing was pushed twice."""
    repo = hub.repos[repo_id]
    tags = ["task-00-zero-shot", *sorted(path.name for path in folder.glob("task-*"))]
    assert sorted(repo.tags) == tags and repo.log == ["initial commit", *tags]
    for tag in tags[1:]:
        for name, content in contents(folder / tag).items():
            assert hub.read(repo_id, name, tag) == content, f"{tag}: {name}"
    assert repo.branches["main"] == repo.tags[tags[-1]]


# A stream on the Hub


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


def test_every_revision_is_a_plain_clip(hub, pushed, colours):
    from transformers import CLIPModel, pipeline

    for tag in TAGS[1:]:
        model = CLIPModel.from_pretrained("me/four", revision=tag)
        for name, tensor in CLIPModel.from_pretrained(pushed / tag).state_dict().items():
            assert torch.equal(model.state_dict()[name], tensor)
    classify = pipeline("zero-shot-image-classification", model="me/four")
    assert len(classify(colours(1)[0]["image"], candidate_labels=["red", "blue"])) == 2


def test_the_same_again_changes_nothing(hub, stream, pushed):
    before = contents(pushed)
    assert push_output(pushed, "me/four") == []
    stream(pushed, push_to_hub=True, hub_model_id="me/four")
    assert contents(pushed) == before
    assert not [path for method, path in hub.requests if "/commit/" in path or "/tag/" in path]
    assert_whole(hub, "me/four", pushed)


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


# The Hub fails


def test_a_hub_that_is_down_for_a_task_stops_nothing(hub, stream, tmp_path, monkeypatch, caplog):
    original, calls = ContinualTrainer.train, []

    def train(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            while len(hub.repos["me/down"].tags) < 2:
                time.sleep(0.01)
            hub.stop()
        if len(calls) == 4:
            while "it is kept and tried again" not in caplog.text:
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
    run = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0 and run.stdout.splitlines() == [f"pushed {tag}" for tag in TAGS[:2]], run.stderr
    assert_whole(hub, "me/later", tmp_path)


FAULTS = {
    "create 500": ("POST", "/repos/create", {"status": 500}),
    "refs 503": ("GET", "/refs$", {"status": 503}),
    "preupload 429": ("POST", "/preupload/", {"status": 429, "headers": {"Retry-After": "7"}}),
    "batch 500": ("POST", "/objects/batch", {"status": 500, "times": 2}),
    "upload 500": ("PUT", "/lfs/", {"status": 500}),
    "upload dropped": ("PUT", "/lfs/", {"drop": "middle"}),
    "verify dropped": ("POST", "/verify", {"drop": "before"}),
    "commit 409": ("POST", "/commit/", {"status": 409}),
    "commit 429": ("POST", "/commit/", {"status": 429, "headers": {"Retry-After": "20"}, "times": 2}),
    "commit 500": ("POST", "/commit/", {"status": 500, "times": 3}),
    "commit dropped before": ("POST", "/commit/", {"drop": "before"}),
    "commit dropped in the middle": ("POST", "/commit/", {"drop": "middle"}),
    "commit dropped after": ("POST", "/commit/", {"drop": "after"}),
    "tag 500": ("POST", "/tag/", {"status": 500}),
    "tag dropped after": ("POST", "/tag/", {"drop": "after"}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_that_pass(hub, small, name):
    repo_id = f"me/{name.replace(' ', '-')}"
    fault = hub.fault(*FAULTS[name][:2], **FAULTS[name][2])
    assert push_output(small, repo_id) == ["task-00-zero-shot", "task-01-a", "task-02-b"]
    assert_whole(hub, repo_id, small)
    assert fault.times == 0 and hub.waits
    assert max(hub.waits) >= int(fault.headers.get("Retry-After", 0))


@pytest.mark.parametrize("path", ["/preupload/", "/lfs/", "/commit/", "/tag/"])
@pytest.mark.parametrize("kind", [{"drop": "middle"}, {"status": 500}])
def test_nothing_half_is_ever_tagged(hub, small, path, kind):
    """A fault that lasts ends the push; what is tagged is whole, and the same command goes on."""
    repo_id = f"me/lasting{path.replace('/', '-')}{next(iter(kind))}"
    push_output(small_run(small.parent / "one", tasks=["a", "b"], accuracy=[], finished=False), repo_id)
    fault = hub.fault("POST|PUT", path, times=10**6, **kind)
    with pytest.raises(UserError, match="The same command goes on"):
        push_output(small, repo_id)
    assert set(hub.repos[repo_id].tags) == {"task-00-zero-shot"}
    fault.times = 0
    push_output(small, repo_id)
    assert_whole(hub, repo_id, small)


@pytest.mark.parametrize(
    "token, words",
    [("hf_wrong0123456789", "401: the token is missing or not valid"), (READ_TOKEN, "403: the token may not")],
)
def test_tokens_that_do_not_fit(hub, small, stream, tmp_path, monkeypatch, capsys, token, words):
    monkeypatch.setenv("HF_TOKEN", token)
    assert main(["push", str(small), "--hub_model_id", "me/denied"]) == 1
    told = capsys.readouterr().err
    assert words in told and token not in told and "Traceback" not in told
    assert "me/denied" not in hub.repos
    with pytest.raises(UserError, match=words[:3]):  # told before hours of training
        stream(tmp_path / "run", push_to_hub=True, hub_model_id="me/denied")
    assert not hub.waits


def test_a_repository_that_is_gone(hub, small):
    hub.fault("POST", "/commit/", 404, headers={"X-Error-Code": "RepoNotFound"})
    with pytest.raises(UserError, match="404: no such repository"):
        push_output(small, "me/gone")
    assert push_output(small, "me/gone")
    with pytest.raises(UserError, match="me/never cannot be fetched: 40[14]"):
        list_tasks("me/never")
    with pytest.raises(UserError, match="holds no task 'c'; it holds task-00-zero-shot, task-01-a, task-02-b"):
        pull_task("me/gone", "c")


def test_large_files(hub, tmp_path):
    """A file of 40 MB goes up and comes down whole, with the connection dropped on both ways."""
    folder = small_run(tmp_path / "large", size=10 * 2**20)
    up = hub.fault("PUT", "/lfs/", drop="middle", times=2)
    push_output(folder, "me/large")
    assert_whole(hub, "me/large", folder)
    down = hub.fault("GET", "/resolve/.*safetensors", drop="middle", times=2)
    pulled = pull_task("me/large", "b", tmp_path / "pulled")
    assert contents(pulled) == contents(folder / "task-02-b")
    assert up.times == down.times == 0


# Whose repository it is


def test_a_different_run_is_refused(hub, small, stream, tmp_path):
    other = small_run(tmp_path / "other", created="2026-02-02T00:00:00+00:00", accuracy=[[9.0, 9.0]], finished=False)
    push_output(other, "me/taken")
    with pytest.raises(UserError, match=r"different run \(zscl, 1 of 2 tasks, begun 2026-02-02") as caught:
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
    assert "task-01-a cannot be pushed: its checkpoint is not in" in caplog.text


def test_a_folder_of_adapters_is_pushed_as_it_is(hub, small):
    folder = small / "task-02-b"
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    (folder / "config.json").rename(folder / "adapter_config.json")
    push_output(small, "me/adapter")
    assert_whole(hub, "me/adapter", small)
    main = hub.repos["me/adapter"].commits[hub.repos["me/adapter"].branches["main"]]
    assert not {"model.safetensors", "config.json"} & main.keys()  # those of the task before


# Pulling


def test_pulling_a_run(hub, pushed, tmp_path, capsys):
    assert main(["list", "me/four"]) == 0
    assert capsys.readouterr().out.split() == TAGS
    assert main(["pull", "me/four", "--output", str(tmp_path / "new")]) == 0
    assert "holds 4 of 4 tasks" in capsys.readouterr().out
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
    with pytest.raises(UserError, match="holds no weights"):
        pull_task("me/four", "zero-shot")


def test_repositories_are_compared_like_folders(hub, pushed, tmp_path, capsys):
    from hf_clcl import compare

    assert compare.main(["me/four", "--output", str(tmp_path / "compared")]) == 0
    last = RunRecord.load(pushed).metrics["last"]
    assert f"{last:.1f}" in capsys.readouterr().out
    assert f"{last:.2f}" in (tmp_path / "compared" / "comparison.md").read_text()
    assert compare.main(["me/none", "--output", str(tmp_path / "compared")]) != 0
    assert "me/none" in capsys.readouterr().err


def test_pulling_never_mixes_runs(hub, pushed, small, tmp_path):
    push_output(small, "me/small")
    with pytest.raises(UserError, match="holds a different run than me/four"):
        pull_run("me/four", small)
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(UserError, match="holds README.md and no results.json"):
        pull_run("me/four", tmp_path)
    before = contents(small)
    assert pull_run("me/small", small).finished and contents(small) == before


def test_a_pull_that_breaks_leaves_nothing_half(hub, small, tmp_path):
    push_output(small, "me/breaks")
    fault = hub.fault("GET", "/resolve/.*safetensors", 500, times=10**6)
    with pytest.raises(UserError, match="me/breaks cannot be fetched: 500"):
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
    with pytest.raises(UserError, match="is no name of a task"):
        pull_run("me/evil", tmp_path / "in" / "newer")
    repo.tags["task-03-../x"] = repo.tags["task-02-b"]
    assert list_tasks("me/evil") == ["task-00-zero-shot", "task-01-a", "task-02-b"]
    files["pytorch_model.bin"] = files.pop("model.safetensors")
    repo.tags["task-02-b"] = repo.commit(files, "pickles")
    with pytest.raises(UserError, match="holds no weights in safetensors"):
        pull_task("me/evil", "b")


# Secrets and recipes


def test_a_token_is_nowhere(hub, stream, pushed, tmp_path, monkeypatch, caplog, capfd):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setenv("MY_HUB_SECRET", TOKEN)
    hub.fault("POST", "/commit/", 500)
    hub.fault("POST", "/tag/", 403)
    original = ContinualTrainer._save_checkpoint

    def kept(self, *args):
        original(self, *args)
        if Path(self.args.output_dir, "checkpoint-1").exists():
            shutil.copytree(Path(self.args.output_dir, "checkpoint-1"), tmp_path / "kept", dirs_exist_ok=True)

    monkeypatch.setattr(ContinualTrainer, "_save_checkpoint", kept)
    with caplog.at_level(logging.DEBUG):
        stream(tmp_path / "run", NAMES[:2], push_to_hub=True, hub_model_id="me/secret", hub_token_env="MY_HUB_SECRET")
    assert len(list_tasks("me/secret", TOKEN)) == 3 and "403: the token may not do that" in caplog.text
    assert (tmp_path / "kept" / "training_args.bin").exists()
    everywhere = {**contents(tmp_path), **contents(pushed), **contents(hub.folder)}
    assert not [name for name, content in everywhere.items() if TOKEN.encode() in content]
    said = capfd.readouterr()
    assert TOKEN not in caplog.text + said.out + said.err


@pytest.mark.parametrize(
    "values, message",
    [
        ({"push_to_hub": True}, "push_to_hub: needs hub_model_id"),
        ({"push_to_hub": True, "hub_model_id": "no slash"}, "hub_model_id: needs owner/name"),
        ({"hub_token": "hf_secret0123456789"}, "hub_token: cannot be set"),
        ({"hub_token_env": "hf_secret0123456789"}, "needs the name of an environment variable"),
        ({"hub_strategy": "checkpoint"}, "choose every_save"),
        ({"resume_from_hub": "nowhere"}, "resume_from_hub: needs owner/name"),
    ],
)
def test_values_that_cannot_be_used(stream, tmp_path, values, message):
    with pytest.raises(RecipeError, match=message) as caught:
        stream(tmp_path / "run", **values)
    assert "hf_secret" not in str(caught.value)


def test_tokens_in_commands_are_refused(small, tmp_path, capsys):
    from hf_clcl.train import main as train

    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("model_name_or_path: x\ntasks: [{name: a, dataset: b}]\n")
    assert train([str(recipe), "--hub_token", "hf_secret0123456789"]) == 2
    assert main(["push", str(small), "--hub_token=hf_secret0123456789"]) == 2
    assert main(["push", str(small), "--hub_model_id", "me/x", "--hub_token_env", "hf_secret0123456789"]) == 2
    assert main(["push", str(small), "--hub_model_id", "me/x", "--hub_token_env", "NOT_SET_HERE"]) == 1
    assert main(["push", str(tmp_path / "nothing")]) == 1
    assert main(["push", str(small)]) == 2
    told = capsys.readouterr().err
    assert "hf_secret" not in told and "Traceback" not in told
    assert "HF_TOKEN" in told and "NOT_SET_HERE" in told and "needs hub_model_id" in told
