"""Records and folders of runs that are damaged or foreign, given to every command that reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from helpers.bad_inputs import contents, refused
from helpers.records import example
from hf_clcl.cli import card, compare, evaluate, hub, train


def edited(**changes: object) -> bytes:
    return json.dumps({**example().to_dict(), **changes}).encode()


NEWER = ["schema 99", "update hf_clcl"]
RECORDS = {
    "empty": (b"", ["is not a record of a run", "run the same command again"]),
    "half": (edited()[:400], ["is not a record of a run", "run the same command again"]),
    "no text": (b"\xff\xfe{}", ["is not a record of a run", "run the same command again"]),
    "a list": (b"[]", ["a record is a JSON object, found a list"]),
    "another JSON": (b'{"name": "x"}', ["`schema` must be a number", "was it written by hf_clcl"]),
    "a newer one": (edited(schema=99), NEWER),
    "no number": (edited().replace(b"44.0", b"NaN"), ["it holds NaN", "use null"]),
    "too large": (edited().replace(b"44.0", b"444.0"), ["must be a percentage from 0 to 100"]),
    "5,000 digits": (edited().replace(b"44.0", b"4" * 5000), ["is not a record of a run"]),
    "deep": (edited(later=0).replace(b'"later": 0', b'"later": ' + b"[" * 300 + b"]" * 300), ["nested too deeply"]),
    "deeper": (b"[" * 200_000, ["nested too deeply"]),
    "half a character": (edited(device="\ud800"), ["device", "half a character"]),
    "a folder elsewhere": (edited(tasks=["a", "b", "../../c"]), ["tasks: must be names of folders, got '../../c'"]),
    "tasks twice": (edited(tasks=["a", "a", "b"]), ["each given once"]),
    "too many rows": (edited(accuracy=[[1.0, 2.0, 3.0]] * 4), ["4 rows for 3 tasks"]),
    "a short row": (edited(accuracy=[[1.0]]), ["1 entries for 3 tasks"]),
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder of a run, with something that could be lost."""
    folder = tmp_path / "runs" / "one"
    (folder / "task-01-a").mkdir(parents=True)
    (folder / "task-01-a" / "model.safetensors").write_bytes(b"weights")
    (folder / "README.md").write_text("# The card that was")
    return folder


@pytest.mark.parametrize("case", RECORDS)
def test_records_that_are_none_are_told_and_kept(case, run, tmp_path, capfd):
    content, parts = RECORDS[case]
    (run / "results.json").write_bytes(content)
    for main, arguments, code in (
        (card.main, [str(run.parent)], 2),
        (compare.main, [str(run)], 2),
        (hub.main, ["push", str(run), "--hub_model_id", "me/x"], 1),
    ):
        refused(main, arguments, capfd, code, ["results.json", *parts], kept=tmp_path)


PLACES: dict[str, tuple[Callable[[Path], list[str]], Callable[[list[str]], int], int, list[str]]] = {
    "cards of nothing": (lambda f: [str(f / "nowhere")], card.main, 2, ["nowhere", "has no results.json"]),
    "compare nothing": (lambda f: [str(f / "nowhere")], compare.main, 2, ["nowhere"]),
    "push nothing": (lambda f: ["push", str(f / "no")], hub.main, 1, ["results.json", "No such file"]),
    "push to nowhere": (lambda f: ["push", str(f), "--hub_model_id", "x"], hub.main, 2, ["must be owner/name"]),
    "a token": (lambda f: ["push", str(f), "--hub_token", "x"], hub.main, 2, ["set HF_TOKEN"]),
    "token of nothing": (lambda f: ["list", "a/b", "--hub_token_env", "NOT_SET"], hub.main, 1, ["NOT_SET", "set it"]),
    "evaluate nothing": (
        lambda f: [str(f / "r.yaml"), "--checkpoint", str(f / "no")], evaluate.main, 1, ["must be a folder"],
    ),
    "evaluate a run as a model": (
        lambda f: [str(f / "r.yaml"), "--checkpoint", str(f)], evaluate.main, 1, ["no config.json", "as --run"],
    ),
    "evaluate other tasks": (
        lambda f: [str(f / "r.yaml"), "--run", str(f)], evaluate.main, 1, ["has checkpoints of", "its recipe.yaml"],
    ),
    "a mixture of 2": (
        lambda f: [str(f / "r.yaml"), "--checkpoint", "a/b", "--wise_ft_alphas", "2"], evaluate.main, 2, ["0 and 1"],
    ),
    "no number of a mixture": (
        lambda f: [str(f / "r.yaml"), "--checkpoint", "a/b", "--wise_ft_alphas", "nan"], evaluate.main, 2, ["0 and 1"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PLACES)
def test_commands_on_what_is_not_there(case, run, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (run / "results.json").write_bytes(edited())
    recipe = {"model_name_or_path": "m", "method": "finetune", "tasks": [{"name": "z", "dataset": "rendered:dice"}]}
    (run / "r.yaml").write_text(yaml.safe_dump(recipe))
    arguments, main, code, parts = PLACES[case]
    refused(main, arguments(run), capfd, code, parts, kept=tmp_path)


FOLDERS: dict[str, tuple[Callable[[Path], object], int, list[str]]] = {
    "a damaged record": (lambda f: (f / "results.json").write_text("{"), 1, ["is not a record of a run"]),
    "a newer record": (lambda f: (f / "results.json").write_bytes(edited(schema=99)), 1, NEWER),
    "another run": (lambda f: (f / "results.json").write_bytes(edited()), 2, ["before", "--output_dir"]),
    "no record": (lambda f: None, 1, ["has task-01-a but no results.json", "--output_dir"]),
    "a folder for a record": (lambda f: (f / "results.json").mkdir(), 1, ["cannot be read"]),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_runs_are_not_written_over(case, run, recipe, capfd):
    prepare, code, parts = FOLDERS[case]
    prepare(run)
    arguments = [str(recipe), "--method", "finetune", "--output_dir", str(run)]
    refused(train.main, arguments, capfd, code, parts, kept=run)


@pytest.mark.parametrize("place", ["a file", "below a file", "a name of 300"])
def test_places_that_cannot_be_written(place, recipe, tmp_path, capfd):
    (tmp_path / "file").write_text("mine")
    name = {"a file": "file", "below a file": "file/out", "a name of 300": "x" * 300}[place]
    arguments = [str(recipe), "--method", "finetune", "--output_dir", str(tmp_path / name)]
    refused(train.main, arguments, capfd, 1, ["cannot be written", "--output_dir"])
    assert (tmp_path / "file").read_text() == "mine" and not [n for n in contents(tmp_path) if n.startswith("out")]
