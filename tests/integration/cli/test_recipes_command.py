"""`hf-clcl recipes`: the list, the path of a recipe, and copies that never overwrite a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers import ROOT
from hf_clcl.cli import train
from hf_clcl.cli.recipes import first_sentence, list_recipes, main, with_includes
from hf_clcl.config.recipe_files import RECIPES, recipe_names
from hf_clcl.stream.recipes import read_recipe


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory outside the clone."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.yaml")}


def test_the_list_has_every_recipe_with_a_sentence(capsys) -> None:
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = dict(line.split(maxsplit=1) for line in lines if line.startswith("  "))
    assert sorted(rows) == recipe_names()
    assert all(text[-1] in ".?" for text in rows.values())
    assert rows["mtil_lora"] == "ZSCL on MTIL with LoRA adapters in both towers."
    assert lines == list_recipes()


def test_the_first_sentence_of_a_header(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text("# A stream of arXiv 2303.06628 in two\n# lines. And more.\n\nkey: 1\n")
    assert first_sentence(file) == "A stream of arXiv 2303.06628 in two lines."
    file.write_text("key: 1\n")
    assert first_sentence(file) == ""


def test_the_path_of_a_recipe(capsys) -> None:
    assert main(["--path", "accelerate/fsdp"]) == 0
    assert capsys.readouterr().out == f"{RECIPES / 'accelerate' / 'fsdp.yaml'}\n"


@pytest.mark.parametrize("name", [name for name in recipe_names() if "/" not in name])
def test_a_copy_is_complete(elsewhere: Path, name: str, capsys) -> None:
    """The copy in a folder of its own, with what it includes, is the same recipe."""
    assert main(["--copy", name, "mine"]) == 0
    copied = written(elsewhere / "mine")
    assert capsys.readouterr().out.splitlines() == [f"mine/{path}" for path in sorted(copied, key=order(name))]
    assert all((ROOT / "recipes" / path).read_bytes() == content for path, content in copied.items())
    assert len(copied) == len(with_includes(RECIPES / f"{name}.yaml"))
    copy = (elsewhere / "mine" / f"{name}.yaml").resolve()
    assert read_recipe(copy).to_dict() == read_recipe(RECIPES / f"{name}.yaml").to_dict()


def order(name: str):
    """Where a file is among those that are copied: in the order of `include:`."""
    files = [path.relative_to(RECIPES).as_posix() for path in with_includes(RECIPES / f"{name}.yaml")]
    return files.index


def test_no_file_is_overwritten(elsewhere: Path, capsys) -> None:
    (elsewhere / "streams").mkdir()
    (elsewhere / "streams" / "reference.yaml").write_text("mine: 1\n")
    before = written(elsewhere)
    assert main(["--copy", "mtil", "."]) == 1
    assert "streams/reference.yaml: exists and differs; nothing was written" in capsys.readouterr().err
    assert written(elsewhere) == before


def test_the_same_copy_twice(elsewhere: Path) -> None:
    assert main(["--copy", "mtil", "."]) == main(["--copy", "mtil_lora", "."]) == 0
    assert sorted(written(elsewhere)) == ["mtil.yaml", "mtil_lora.yaml", "streams/mtil.yaml", "streams/reference.yaml"]


def test_a_launcher_file_gets_the_path_that_messages_name(elsewhere: Path) -> None:
    from hf_clcl.utils.names import launch_file

    path, command = launch_file("fsdp").split(" (`hf-clcl recipes ")
    assert main(command.split("`")[0].split()) == 0
    assert (elsewhere / path).is_file()


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        (["--copy", "mtl", "."], 2, "no recipe 'mtl'; did you mean mtil?"),
        (["--path", "../pyproject"], 2, "no recipe '../pyproject'"),
        (["--copy", "mtil", "/proc/nowhere"], 1, "cannot be written"),
    ],
)
def test_refusals(elsewhere: Path, capsys, arguments: list[str], code: int, message: str) -> None:
    assert main(arguments) == code
    assert message in capsys.readouterr().err


def test_train_takes_a_name(elsewhere: Path, capsys, caplog) -> None:
    few = [option for task in ("shapes", "textures") for option in (f"--task_values.{task}.take_test", "4")]
    tasks = "[{name: shapes, dataset: 'rendered:shapes'}, {name: textures, dataset: 'rendered:textures'}]"
    assert train.main(["quickstart", "--tasks", tasks, *few, "--dry_run"]) == 0
    assert "textures" in capsys.readouterr().out
    assert f"recipe quickstart: using {RECIPES / 'quickstart.yaml'}" in caplog.text
