"""A stream of some tasks leaves nothing open behind; a large matrix is drawn in bounded size."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from PIL import Image

from helpers import ROOT
from hf_clcl import RunRecord
from hf_clcl.reports.figures import plot_curves, plot_matrix
from hf_clcl.stream import output as output_module

SCRIPT = ROOT / "benchmarks" / "long_stream.py"


@pytest.fixture(scope="module")
def long_stream():
    spec = importlib.util.spec_from_file_location("long_stream", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["long_stream"] = module  # where `dataclass` looks for the types of fields
    spec.loader.exec_module(module)
    yield module
    del sys.modules["long_stream"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are counted in /proc")
def test_tasks_leave_no_open_files_and_no_threads(long_stream, tiny_clip, tmp_path, monkeypatch) -> None:
    for name in ("plot_matrix", "plot_curves"):
        monkeypatch.setattr(output_module, name, lambda *args: None)
    samples = long_stream.stream(9, tmp_path / "run", str(tiny_clip), max_steps=2, save_steps=1)
    assert len(samples) == 10
    settled = samples[2:-1]  # libraries open what they need along the first tasks
    for key in ("files", "threads"):
        assert max(entry[key] for entry in settled) == settled[0][key], [entry[key] for entry in samples]
    assert settled[-1]["memory"] - settled[0]["memory"] < 20, [entry["memory"] for entry in samples]
    long_stream.plot(samples, tmp_path / "plot.png")
    assert Image.open(tmp_path / "plot.png").width > 800


@pytest.mark.slow
def test_plots_of_many_tasks_are_as_large_as_those_of_some(tmp_path) -> None:
    def drawn(count: int) -> dict[str, tuple[int, int]]:
        names = [f"task{k:03d}" for k in range(count)]
        rows = [[50.0 + (i == j) * 40 for i in range(count)] for j in range(count)]
        outside = {"o": {"zero_shot": 40.0, "accuracy": [39.0] * count}}
        record = RunRecord("finetune", "m", names, zero_shot=[55.0] * count, accuracy=rows, evaluation_only=outside)
        folder = tmp_path / str(count)
        paths = [*plot_matrix(record, folder), *plot_curves(record, folder)]
        assert all(path.stat().st_size < 1_500_000 for path in paths)
        return {path.stem: Image.open(path).size for path in paths if path.suffix == ".png"}

    some, many = drawn(29), drawn(100)
    for name, size in many.items():
        assert max(size) <= 1.1 * max(some[name]), (name, some, many)
