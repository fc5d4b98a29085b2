"""The benchmarks measure what they say: equal numbers in both loops, and parts that add up to the whole."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

import pytest

from helpers import ROOT

BENCHMARKS = ROOT / "benchmarks"


@pytest.mark.slow
@pytest.mark.parametrize("dtype, loss_tolerance, update_tolerance", [("fp32", 1e-5, 1e-3), ("bf16", 2e-2, 0.3)])
def test_a_step_of_the_naive_loop_is_a_step_of_ours(
    tiny_clip, monkeypatch, request, update_error, dtype, loss_tolerance, update_tolerance
):
    """Losses agree to 10 roundings of bf16 (2e-3 each) or 160 of fp32 (6e-8 each); weights: see `update_error`."""
    if dtype == "bf16":
        request.getfixturevalue("native_bf16")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import step

    options = argparse.Namespace(
        shape=str(tiny_clip), batch=4, classes=5, texts=9, text_length=20, dtype=dtype, device="cpu", steps=2,
        same_allocator=dtype == "bf16",
    )  # fmt: skip
    facts = step.measure(options)
    assert facts["loss_difference"] < loss_tolerance * facts["loss"]
    assert update_error(*(facts["weights"][name] for name in ("initial", "ours", "naive"))) < update_tolerance
    assert facts["teraflop"]["ours"] < 0.8 * facts["teraflop"]["naive"]
    assert step.ceiling(options, size=64) > 0
    monkeypatch.setattr(step, "ceiling", lambda options: 1.0)
    report = step.report(options, {**facts, "seconds": {"ours": [0.1, 0.3, 0.2], "naive": [0.4, 0.8, 0.6]}})
    assert report["peak_memory_mb"].keys() == {"ours", "naive"} and min(report["peak_memory_mb"].values()) > 50
    assert report["times_as_fast"] == 3 and report["times_as_fast_of_pairs"] == [4, 2.67, 3]
    assert report["share_of_ceiling"] == pytest.approx(facts["teraflop"]["ours"] / 0.2, abs=1e-3)


@pytest.mark.usefixtures("native_bf16")
def test_the_parts_of_a_step(tiny_clip, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import parts

    options = f"--shape {tiny_clip} --batch 4 --classes 5 --texts 9 --device cpu --steps 2 --dtype bf16"
    assert parts.main(options.split()) == 0
    shares = json.loads(capsys.readouterr().out)["shares"]
    assert sum(shares.values()) == pytest.approx(1, abs=0.01)
    assert shares.keys() >= {"matrix products", "activation", "layer norm", "L2 term", "optimiser", "casts and copies"}


def test_what_a_step_keeps(tiny_clip, monkeypatch):
    """Twice the batch keeps twice as much; checkpointing keeps less; a model of 16 pixels has these weights."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import memory

    def measured(**values):
        options = {"shape": str(tiny_clip), "batch": 4, "classes": 3, "dtype": "fp32", "gradient_checkpointing": False}
        return memory.measure(argparse.Namespace(**{**options, **values}))

    plain = measured()
    assert plain["mb_an_image"] > 0 and plain["mb_a_text"] > 0
    large = measured(batch=40_000)["gb"]["kept of the images"]
    assert measured(batch=80_000)["gb"]["kept of the images"] == pytest.approx(2 * large, rel=0.02)
    assert measured(gradient_checkpointing=True, batch=80_000)["gb"]["kept of the images"] < large


@pytest.mark.slow
def test_the_parts_of_a_stream(recipe, tmp_path):
    command = [
        sys.executable, str(BENCHMARKS / "stream.py"), str(recipe), "--json", str(tmp_path / "parts.json"),
        "--save_steps", "1", "--methods.zscl.averaging_interval", "1",
    ]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    parts = json.loads((tmp_path / "parts.json").read_text())
    assert "What dominates: " in run.stdout and (recipe.parent / "out" / "results.json").exists()
    assert {
        "importing libraries", "reading datasets", "loading the model", "decoding images", "cropping images",
        "teacher: images", "training: forward", "training: backward", "training: optimiser", "averaging weights",
        "checkpoints within tasks", "evaluation: images", "saving tasks", "record, card and plots", "the rest",
    } <= parts.keys()  # fmt: skip
    shown = float(next(line for line in run.stdout.splitlines() if line.startswith("together")).split()[1])
    assert sum(parts.values()) == pytest.approx(shown, abs=0.05)


def test_the_stopwatch_gives_each_part_its_own_seconds(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import stream

    now = iter([1.0, 3.0, 6.0, 10.0])
    watch = stream.Stopwatch()
    watch._since = 0.0
    monkeypatch.setattr(stream.time, "perf_counter", lambda: next(now))
    watch.enter("outer")  # at 1
    watch.enter("inner")  # at 3
    watch.leave()  # at 6
    watch.leave()  # at 10
    assert dict(watch.seconds) == {"the rest": 1.0, "outer": 6.0, "inner": 3.0}
