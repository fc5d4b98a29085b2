"""The page of methods says what is there, and its example of a custom method runs."""

from __future__ import annotations

import re
import sys

import pytest

from helpers import ROOT
from hf_clcl import METHODS, Task, create_method, run_stream
from hf_clcl.cli.train import main
from hf_clcl.methods import option_names
from hf_clcl.stream.recipes import parse_recipe
from hf_clcl.utils.errors import RecipeError

PAGE = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
(EXAMPLE,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_method.py").write_text(EXAMPLE)
    return "my_method.py:NearTheTexts"


def test_the_table_names_exactly_the_methods():
    table = PAGE.split("| method | what it keeps")[1].split("\n\n")[0]
    assert re.findall(r"^\| `(\w+)`", table, flags=re.MULTILINE) == list(METHODS)
    assert all(row.count("|") == 6 and row.rstrip(" |").rsplit("|", 1)[1].strip() for row in table.splitlines()[2:])


def test_every_option_is_on_the_page():
    options = {name for method in METHODS.values() for name in option_names(method)}
    assert [name for name in sorted(options) if f"`{name}`" not in PAGE] == []


def test_the_example_is_short_and_learns(file, tiny_clip, colours, tmp_path):
    assert len(EXAMPLE.strip().splitlines()) <= 40
    tasks = [Task(name, train=colours(12, seed=s), test=colours(6)) for name, s in (("a", 0), ("b", 1))]
    record = run_stream(
        str(tiny_clip), tasks, file, method_options={"weight": 0.5}, output_dir=str(tmp_path / "out"), max_steps=2,
        logging_steps=1, per_device_train_batch_size=6, disable_tqdm=True,
    )  # fmt: skip
    assert record.method == "near_the_texts" and len(record.accuracy) == 2
    assert all(entry["distance_loss"] > 0 for entry in record.losses)
    assert (tmp_path / "out" / "task-02-b" / "method_state.safetensors").exists()


def test_a_file_is_executed_once_a_run_and_again_where_it_changed(tmp_path, monkeypatch, recipe):
    monkeypatch.chdir(tmp_path)
    log, source = tmp_path / "executed.txt", "from hf_clcl.methods import Method\n\n\nclass Mine(Method):\n"
    source = f"print(file=open({str(log)!r}, 'a'))\n{source}    name = 'mine'\n"
    (tmp_path / "mine.py").write_text(source)
    assert main([str(recipe), "--method", "mine.py:Mine", "--output_dir", str(tmp_path / "run")]) == 0
    assert log.read_text() == "\n"
    (tmp_path / "mine.py").write_text(source.replace("'mine'", "'changed'"))
    assert create_method("mine.py:Mine").name == "changed" and log.read_text() == "\n\n"


def test_a_method_may_be_given_by_name_class_or_instance():
    zscl = METHODS["zscl"]
    by_class, by_name = create_method(zscl, {"l2_weight": 0.5}), create_method("zscl", {"l2_weight": 0.5})
    assert by_class.options() == by_name.options() and create_method(by_class) is by_class
    with pytest.raises(RecipeError, match="zscl is an instance with options of its own; set l2_weight in it"):
        create_method(by_class, {"l2_weight": 1.0})
    with pytest.raises(RecipeError, match="a name, a class that extends Method, or an instance, got 3"):
        create_method(3)
    with pytest.raises(RecipeError, match="l2_wait: no such key; did you mean l2_weight"):
        create_method(zscl, {"l2_wait": 1})


def test_a_module_works_as_a_file_does(file, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_method", raising=False)
    assert create_method("my_method:NearTheTexts", {"weight": 2}).options() == {"weight": 2.0}


def test_a_recipe_names_it_with_its_options(file):
    values = {
        "model_name_or_path": "x", "method": file, "methods": {file: {"weight": 0.5}},
        "tasks": [{"name": "a", "dataset": "b"}],
    }  # fmt: skip
    assert parse_recipe(values).method_options == {"weight": 0.5}
    with pytest.raises(RecipeError, match="wait: no such key; did you mean weight"):
        parse_recipe({**values, "methods": {file: {"wait": 0.5}}})


@pytest.mark.parametrize(
    "reference, message",
    [
        ("my_method.py:Other", "has no method 'Other'; it has NearTheTexts"),
        ("nowhere.py:A", "cannot be loaded"),
        ("no_such_package.module:A", "No module named"),
        ("broken.py:A", "cannot be loaded: invalid syntax"),
        ("empty.py:A", "a method is a dataclass that extends hf_clcl.Method"),
        ("nameless.py:A", "set the class attribute `name`"),
        ("zsc", "did you mean zscl"),
    ],
)
def test_what_is_not_a_method_is_explained(file, tmp_path, reference, message):
    (tmp_path / "broken.py").write_text("def :")
    (tmp_path / "empty.py").write_text("from hf_clcl.methods import Method")
    (tmp_path / "nameless.py").write_text("from hf_clcl.methods import Method\nclass A(Method): ...")
    with pytest.raises(RecipeError, match=re.escape(message)):
        create_method(reference)
