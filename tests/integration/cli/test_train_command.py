"""The command: exit codes, messages without tracebacks, the dry run, and a whole run on folders of images."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from helpers import ROOT
from hf_clcl.cli import train
from hf_clcl.utils.errors import RecipeError


def test_a_run_on_folders_of_images(recipe, capsys):
    assert train.main([str(recipe)]) == 0
    shown = capsys.readouterr().out
    assert "zero-shot" in shown and "Transfer" in shown.title() and str(recipe.parent / "out") in shown
    assert (recipe.parent / "out" / "task-02-cold" / "model.safetensors").exists()


def test_the_recipe_of_a_run_reproduces_it(recipe):
    assert train.main([str(recipe)]) == 0
    again = recipe.parent / "out" / "recipe.yaml"
    assert train.main(["--config", str(again), "--output_dir", str(recipe.parent / "again")]) == 0
    first, second = (
        (recipe.parent / name / "task-02-cold" / "model.safetensors").read_bytes() for name in ("out", "again")
    )
    assert first == second


def test_the_dry_run_shows_the_stream_and_writes_nothing(recipe, capsys):
    assert train.main([str(recipe), "--dry_run", "--model_name_or_path", "not/loaded"]) == 0
    shown = capsys.readouterr().out
    assert "warm" in shown and "a photo of a blue." in shown
    assert not (recipe.parent / "out").exists()


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        ([], 2, "give one recipe"),
        (["RECIPE", "--config", "RECIPE"], 2, "give one recipe"),
        (["RECIPE", "stray"], 2, "'stray' belongs to no option"),
        (["nowhere.yaml"], 2, "no such file"),
        (["RECIPE", "--learning_rte", "1"], 2, "did you mean learning_rate?"),
        (["RECIPE", "--max_steps", "many"], 2, "max_steps: must be a whole number"),
        (["RECIPE", "--hub_token", "secret"], 2, "a token belongs into HF_TOKEN"),
        (["RECIPE", "--model_name_or_path", "no/where"], 1, "cannot be loaded"),
        (["RECIPE", "--data_root", "/nowhere"], 1, "warm"),
        (["RECIPE", "--output_dir", "/proc/nowhere"], 1, "cannot be written"),
        (
            ["RECIPE", "--learning_rate", "1.0e+12", "--method", "finetune", "--max_steps", "4"],
            1,
            "not a finite number",
        ),
    ],
)
def test_user_errors_have_a_message_and_no_traceback(recipe, capsys, arguments, code, message):
    assert train.main([str(recipe) if a == "RECIPE" else a for a in arguments]) == code
    said = capsys.readouterr().err
    assert message in said and "error:" in said and "Traceback" not in said
    assert "secret" not in said


def test_the_message_of_a_broken_image_names_it(recipe, capsys):
    broken = recipe.parent / "warm" / "train" / "red" / "0.png"
    broken.write_bytes(broken.read_bytes()[:60])
    assert train.main([str(recipe), "--method", "finetune", "--max_steps", "6"]) == 1
    said = capsys.readouterr().err
    assert "warm: the image in row" in said and "Traceback" not in said


def test_a_model_that_is_no_clip(recipe, tmp_path, capsys):
    from transformers import BertConfig

    BertConfig().save_pretrained(tmp_path / "bert")
    assert train.main([str(recipe), "--model_name_or_path", str(tmp_path / "bert")]) == 1
    assert "is a 'bert' model; this program supports clip, metaclip_2" in capsys.readouterr().err


def test_pairs_of_the_command_line():
    _, overrides = train.parse_command_line(["r.yaml", "--bf16", "--seed=3", "--methods.zscl.l2_weight", "-1"])
    assert overrides == {"bf16": "true", "seed": "3", "methods.zscl.l2_weight": "-1"}
    with pytest.raises(RecipeError):
        train.parse_command_line(["r.yaml", "--", "x"])


def test_help_imports_nothing_that_takes_long():
    command = [sys.executable, "-X", "importtime", "-m", "hf_clcl.train", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "--dry_run" in done.stdout
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "argparse" in imported
    assert not imported & {"torch", "transformers", "datasets", "accelerate", "peft", "numpy", "pandas", "matplotlib"}


def test_help_names_values_that_exist():
    import dataclasses

    from hf_clcl.config.arguments import ContinualTrainingArguments
    from hf_clcl.config.recipe import Recipe

    known = {f.name for cls in (ContinualTrainingArguments, Recipe) for f in dataclasses.fields(cls)}
    listed = train.EPILOG[train.EPILOG.index("the run") : train.EPILOG.index("Training values are")]
    listed = re.sub(r"\(.*?\)", lambda found: " " * len(found[0]), listed)  # values in brackets are no names
    words = {word for line in listed.splitlines() for word in re.findall(r"[\w.<>]+", line[20:]) if "_" in word}
    assert {word for word in words if "." not in word} <= known


@pytest.mark.parametrize(
    "module",
    ["hf_clcl", "hf_clcl.train", "hf_clcl.record.run_record", "hf_clcl.reports.terminal", "hf_clcl.reports.cards"],
)
def test_importing_needs_no_torch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_the_command_line_is_read_without_pydantic():
    code = "import sys, hf_clcl.cli.train as t; t.parse_command_line(['r.yaml']); sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
