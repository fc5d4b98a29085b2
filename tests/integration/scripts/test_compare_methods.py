"""The benchmark that runs every method: which runs it plans, what it asks of each, and that it goes on."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from helpers import ROOT
from hf_clcl.methods import METHODS
from hf_clcl.stream.recipes import read_recipe


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("compare_methods", ROOT / "benchmarks" / "compare_methods.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_method_runs_once_and_the_published_ones_with_each_seed(benchmark: ModuleType) -> None:
    runs = benchmark.planned(None, [1, 2, 3])
    assert len(runs) == len(set(runs)) == 3 * 7 + 10
    assert {method.split(":")[0].split("+")[0] for method, _ in runs} == METHODS.keys() - {
        "lwf_vr",
        "separate",
    }  # an alias, and no stream
    assert [seed for _, seed in runs] == [1] * 17 + [2] * 7 + [3] * 7
    assert benchmark.planned(["zscl", "lwf"], [5, 6]) == [("zscl", 5), ("lwf", 5), ("zscl", 6), ("lwf", 6)]


def test_a_name_becomes_values_of_the_recipe(benchmark: ModuleType) -> None:
    def recipe(name: str):
        values = benchmark.values_of(name, 7, Path("out"))
        return read_recipe(ROOT / "benchmarks" / "methods.yaml", dict(zip(values[::2], values[1::2], strict=True)))

    for name in (*benchmark.REPEATED, *benchmark.ONCE):
        assert recipe(name).training["seed"] == 7
    assert recipe("zscl+lora").peft is not None and recipe("zscl").peft is None
    assert recipe("imm:merge=mode").method_options == {"merge": "mode"}


@pytest.mark.slow
def test_runs_are_finished_once_and_compared(
    benchmark: ModuleType, tmp_path: Path, recipe: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--recipe", str(recipe), "--output_dir", str(tmp_path / "out"), "--methods", "zero_shot"]
    assert benchmark.main([*arguments, "--seeds", "1"]) == 0
    written = tmp_path / "out" / "zero_shot-seed1" / "results.json"
    stamp = written.stat().st_mtime_ns
    assert benchmark.main([*arguments, "--seeds", "1"]) == 0 and written.stat().st_mtime_ns == stamp
    assert not list(written.parent.glob("task-*"))
    assert "zero_shot" in (tmp_path / "out" / "comparison" / "comparison.md").read_text()
    assert "zero_shot" in capfd.readouterr().out


def test_a_run_that_fails_says_where_to_look(
    benchmark: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--recipe", str(tmp_path / "none.yaml"), "--output_dir", str(tmp_path), "--methods", "zscl"]
    assert benchmark.main([*arguments, "--seeds", "1"]) == 2
    assert f"see {tmp_path / 'zscl-seed1'}.log" in capsys.readouterr().err
