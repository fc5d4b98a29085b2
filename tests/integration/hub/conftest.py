"""A Hub on this machine for the real client, and runs that are pushed to it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from huggingface_hub import constants, file_download, hf_api
from huggingface_hub.utils import _http

from helpers.hub_protocol import TOKEN
from helpers.hub_runs import NAMES, small_run
from helpers.hub_server import LoopbackHub
from hf_clcl import Task, run_stream
from hf_clcl.hub import client
from hf_clcl.reports import cards
from hf_clcl.stream import output


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    hub = LoopbackHub(tmp_path_factory.mktemp("hub"))
    hub.cache = tmp_path_factory.mktemp("cache")
    yield hub
    hub.stop()


@contextmanager
def connected(hub: LoopbackHub) -> Iterator[pytest.MonkeyPatch]:
    """The real client takes this Hub for its own, and plots, which have tests of their own, take no time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "ENDPOINT", hub.url)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
        patch.setattr(hf_api.api, "endpoint", hub.url)  # the client that `peft` uses, made at import
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        patch.setattr(constants, "HF_HUB_CACHE", str(hub.cache))
        patch.setenv("HF_TOKEN", TOKEN)
        for module in (output, cards):
            patch.setattr(module, "plot_matrix", _draw("matrix"))
            patch.setattr(module, "plot_curves", _draw("curves"))
        yield patch


def _draw(stem: str):
    def plot(record, folder):
        files = [Path(folder, f"{stem}.{suffix}") for suffix in ("png", "svg")]
        for file in files:
            file.write_bytes(f"{stem} after {len(record.accuracy)} tasks".encode())
        return files

    return plot


@pytest.fixture(scope="module")
def online(server):
    """The Hub, connected for the tests of one file."""
    with connected(server):
        yield server


@pytest.fixture
def hub(online, monkeypatch):
    """The Hub without faults; `hub.waits` is how long the client would have waited for it."""
    waits = []
    now = type("time", (), {"sleep": waits.append, "time": time.time, "monotonic": time.monotonic})
    for module in (client, _http, file_download):
        monkeypatch.setattr(module, "time", now)
    online.faults.clear()
    online.requests.clear()
    online.waits = waits
    return online


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def pushed(server, stream, tmp_path_factory):
    """A whole run that was pushed to `me/four` as it went, with a token from a variable of its own."""
    folder = tmp_path_factory.mktemp("four")
    with connected(server) as patch:
        patch.delenv("HF_TOKEN")
        patch.setenv("MY_HUB_SECRET", TOKEN)
        stream(folder, push_to_hub=True, hub_model_id="me/four", hub_token_env="MY_HUB_SECRET")
    return folder


@pytest.fixture
def small(tmp_path):
    """A finished run of two tasks that nobody trained, with weights of a few bytes."""
    return small_run(tmp_path / "small")
