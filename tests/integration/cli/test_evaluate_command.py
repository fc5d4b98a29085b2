"""Evaluation of existing checkpoints: the matrix of a run again, mixtures with the base model, and every refusal."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml

from hf_clcl.cli import evaluate
from hf_clcl.record.run_record import RunRecord
from hf_clcl.stream import session as session_module


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_clip, colours):
    """A recipe of two tasks and a dataset beside them, and the run that it gave in `out` beside it."""
    from hf_clcl.cli import train

    root = tmp_path_factory.mktemp("finished")
    for name, seed in (("warm", 0), ("cold", 5), ("other", 9)):
        for split, count in (("train", 18), ("test", 9)):
            (root / name).mkdir(exist_ok=True)
            colours(count, seed=seed + len(split)).to_parquet(str(root / name / f"{split}.parquet"))
    values = {
        "model_name_or_path": str(tiny_clip), "method": "finetune", "data_root": str(root), "max_steps": 3,
        "per_device_train_batch_size": 6, "learning_rate": 3e-3, "disable_tqdm": True, "output_dir": str(root / "out"),
        "scenarios": ["task_incremental", "class_incremental"],
        "tasks": [
            {"name": "warm", "dataset": "warm"},
            {"name": "cold", "dataset": "cold", "class_names": ["crimson", "lime", "navy"]},
        ],
        "evaluation_only": [{"name": "other", "dataset": "other"}],
    }  # fmt: skip
    path = root / "recipe.yaml"
    path.write_text(yaml.safe_dump(values))
    assert train.main([str(path)]) == 0
    return path


def run(finished, *arguments: str, output: str) -> int:
    return evaluate.main([str(finished), *arguments, "--output_dir", str(finished.parent / output)])


def test_the_matrix_of_a_run_again(finished, capsys, monkeypatch):
    out = finished.parent / "out"
    first = [str(path) for path in sorted(out.glob("task-*"))]
    assert run(finished, "--checkpoint", first[0], output="matrix") == 0
    assert "1 of 2 tasks are finished" in capsys.readouterr().out
    assert run(finished, "--checkpoint", *first, output="matrix") == 0
    ours, theirs = RunRecord.load(finished.parent / "matrix"), RunRecord.load(out)
    assert (ours.accuracy, ours.zero_shot) == (theirs.accuracy, theirs.zero_shot)
    assert ours.scenarios == theirs.scenarios and ours.evaluation_only == theirs.evaluation_only
    assert (
        ours.finished and ours.extra["checkpoints"] == first and (finished.parent / "matrix" / "matrix.png").exists()
    )

    monkeypatch.setattr(session_module, "load_model", None)  # nothing is left to look at
    assert run(finished, "--checkpoint", *first, output="matrix") == 0
    assert run(finished, "--checkpoint", *reversed(first), output="matrix") == 1
    assert "holds the checkpoints" in capsys.readouterr().err


def test_mixtures_with_the_base_model(finished, capsys, monkeypatch):
    out, folder = finished.parent / "out", finished.parent / "mixed"
    assert run(finished, "--run", str(out), "--wise_ft_alphas", "0", "1", "0.5", output="mixed") == 0
    record, found = RunRecord.load(out), json.loads((folder / "evaluations.json").read_text())
    of = {(e["checkpoint"], e["alpha"]): e["accuracy"] for e in found["evaluations"]}
    assert len(of) == len(found["evaluations"]) == 5  # the base model once
    base, last = of[record.model, 0], of["task-02-cold", 1]
    assert base["task_incremental"] == {"warm": record.zero_shot[0], "cold": record.zero_shot[1], **outside(record, 0)}
    assert last["task_incremental"] == {
        **dict(zip(record.tasks, record.accuracy[1], strict=True)),
        **outside(record, 2),
    }
    incremental = record.of("class_incremental")
    assert list(last["class_incremental"].values()) == incremental.accuracy[1]
    assert list(base["class_incremental"].values()) == incremental.zero_shot
    assert (folder / "evaluations.png").exists() and "task-02-cold" in (folder / "evaluations.md").read_text()

    monkeypatch.setattr(session_module, "load_model", None)
    assert run(finished, "--run", str(out), "--wise_ft_alphas", "0.5", output="mixed") == 0
    assert run(finished, "--run", str(out), "--wise_ft_alphas", "0.5", "--seed", "3", output="mixed") == 2
    assert "seed: " in capsys.readouterr().err


def outside(record: RunRecord, row: int) -> dict[str, float]:
    entry = record.evaluation_only["other"]
    return {"other": [entry["zero_shot"], *entry["accuracy"]][row]}


def test_the_mixture_is_that_of_the_weights(finished, tmp_path):
    from safetensors.torch import load_file, save_file

    out, half = finished.parent / "out", tmp_path / "half"
    shutil.copytree(out / "task-02-cold", half)
    base = yaml.safe_load(finished.read_text())["model_name_or_path"]
    start, end = load_file(f"{base}/model.safetensors"), load_file(half / "model.safetensors")
    save_file({n: 0.75 * start[n] + 0.25 * end[n] for n in start}, half / "model.safetensors", {"format": "pt"})
    assert run(finished, "--checkpoint", str(half), "--wise_ft_alphas", "1", output="direct") == 0
    assert run(finished, "--checkpoint", str(out / "task-02-cold"), "--wise_ft_alphas", "0.25", output="quarter") == 0
    direct, mixed = (
        json.loads((finished.parent / name / "evaluations.json").read_text())["evaluations"][0]["accuracy"]
        for name in ("direct", "quarter")
    )
    assert direct == mixed


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        (["--checkpoint", "out"], 1, "has no config.json; give it as --run"),
        (["--checkpoint", "warm"], 1, "give the folder with the weights"),
        (["--checkpoint", "no where"], 1, "must be a folder that exists, or owner/name"),
        (["--run", "out", "--wise_ft_alphas", "1.5"], 2, "must be between 0 and 1"),
        (["--run", "out", "--tasks", "[{name: x, dataset: warm}]"], 1, "give the recipe of the run"),
        (["--run", "out", "--output_dir", "out"], 1, "holds a run, which would be overwritten"),
        (["--run", "out", "--output_dir", "out", "--wise_ft_alphas", "1"], 1, "holds a run or a stream"),
        (["--run", "out", "--stepz", "1"], 2, "stepz: no such key"),
    ],
)
def test_refusals(finished, monkeypatch, capsys, arguments, code, message):
    monkeypatch.chdir(finished.parent)
    before = (finished.parent / "out" / "results.json").read_bytes()
    assert evaluate.main([str(finished), *arguments]) == code
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said
    assert (finished.parent / "out" / "results.json").read_bytes() == before
