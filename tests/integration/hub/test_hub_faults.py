"""Faults of the Hub, those that pass and those that last: nothing is lost, and nothing half is ever tagged."""

from __future__ import annotations

import pytest

from helpers.hub_protocol import READ_TOKEN
from helpers.hub_runs import assert_whole, contents, small_run
from hf_clcl.cli.hub import main
from hf_clcl.hub import list_tasks, pull_task, push_output
from hf_clcl.utils.errors import UserError

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
    with pytest.raises(UserError, match="Run the same command again"):
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
    with pytest.raises(UserError, match="me/never cannot be downloaded: 40[14]"):
        list_tasks("me/never")
    with pytest.raises(UserError, match="contains no task 'c'; it contains task-00-zero-shot, task-01-a, task-02-b"):
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
