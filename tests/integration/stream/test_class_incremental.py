"""A dataset cut into steps of classes, parts of datasets by class, and few images a class."""

import logging

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value, disable_progress_bars
from PIL import Image as PILImage

from hf_clcl.cli import train
from hf_clcl.config.class_incremental import ClassIncremental
from hf_clcl.config.entries import TaskEntry
from hf_clcl.data import resolve
from hf_clcl.data.recipe_tasks import resolve_stream
from hf_clcl.data.resolve import resolve_task
from hf_clcl.stream.recipes import parse_recipe
from hf_clcl.utils.errors import DataError, RecipeError

disable_progress_bars()
NAMES = ["ant", "bee", "cat", "dog_x", "eel", "fox"]


@pytest.fixture(scope="module")
def animals(tmp_path_factory):
    """Six classes in turn: 24 training and 12 test images, each of the grey value of its row."""
    folder = tmp_path_factory.mktemp("animals")
    for split, count in (("train", 24), ("test", 12)):
        images = [PILImage.fromarray(np.full((4, 4), 10 * row, np.uint8)) for row in range(count)]
        features = Features({"image": Image(), "label": ClassLabel(names=NAMES)})
        rows = Dataset.from_dict({"image": images, "label": [row % 6 for row in range(count)]}, features=features)
        rows.to_parquet(str(folder / f"{split}.parquet"))
    return folder


def task(folder, seed: int = 0, **values):
    return resolve_task(TaskEntry(dataset=str(folder), name="x", **values), None, seed)


def parsed(folder="d", **values):
    block = {"dataset": str(folder), "number_of_classes": 6, "steps": 3, **values}
    return parse_recipe({"model_name_or_path": "m", "method": "finetune", "class_incremental": block})


def greys(rows) -> list[int]:
    return [row["image"].getpixel((0, 0)) // 10 for row in rows]


def test_a_block_expands_into_tasks():
    recipe = parsed(base_classes=2, steps=2, class_order=[5, 0, 3, 1, 4, 2], templates=["a {}."], max_steps=7)
    assert [task.name for task in recipe.tasks] == ["step-01", "step-02", "step-03"]
    assert [task.classes for task in recipe.tasks] == [[5, 0], [3, 1], [4, 2]]
    assert all(task.templates == ["a {}."] and task.training == {"max_steps": 7} for task in recipe.tasks)
    assert recipe.scenarios == ["class_incremental", "task_incremental"]
    assert "tasks" not in recipe.to_dict() and recipe.to_dict()["class_incremental"]["steps"] == 2
    assert parse_recipe(recipe.to_dict()) == recipe


def test_many_steps_are_named_so_that_they_sort():
    names = [task.name for task in parsed(number_of_classes=200, steps=100, base_classes=100, name="tiny").tasks]
    assert names[0] == "tiny-001" and names[-1] == "tiny-101" and names == sorted(names)


def test_orders_of_classes():
    block = ClassIncremental("d", number_of_classes=100, steps=10)
    assert block.order() == list(range(100))
    icarl = ClassIncremental("d", number_of_classes=100, steps=10, class_order="icarl")
    assert icarl.order()[:10] == [87, 0, 52, 58, 44, 91, 68, 97, 51, 15]
    assert sorted(icarl.order()) == list(range(100)) and not icarl.problems()
    seeded = ClassIncremental("d", number_of_classes=100, steps=10, class_seed=1993)
    assert seeded.order()[:10] == [68, 56, 78, 8, 23, 84, 90, 65, 74, 76]  # what np.random.seed(1993) gives
    assert sorted(seeded.order()) == list(range(100))


@pytest.mark.parametrize(
    "values, message",
    [
        ({"class_order": [0, 1, 2, 3, 4]}, "no permutation of the 6 labels 0 to 5: missing 5"),
        ({"class_order": [0, 1, 2, 3, 4, 4]}, "missing 5; listed twice 4"),
        ({"class_order": [0, 1, 2, 3, 4, 6]}, "missing 5; no labels of this dataset 6"),
        ({"class_order": "icarl"}, "no labels of this dataset 6, 7, 8, 9, 10, ..."),
        ({"class_order": "icurl"}, "or one of icarl, zscl_cil/"),
        ({"class_order": [0, 1, 2, 3, 4, 5], "class_seed": 1}, "class_order and class_seed: choose one"),
        ({"class_seed": -1}, "class_seed: must be between"),
        ({"steps": 4}, "6 classes cannot be cut into 4 equal steps, but into 1, 2, 3, 6"),
        ({"steps": 0}, "needs at least one step"),
        ({"base_classes": 6}, "base_classes below number_of_classes"),
        ({"steps": None}, "steps: must be a whole number"),
        ({"classes": [1]}, "classes: is not for a dataset that is cut"),
        ({"expect": {"classes": 5}}, "classes is 5, but number_of_classes 6"),
        ({"templates": ["a photo"]}, "class_incremental: template 'a photo' must have one {}"),
        ({"name": "../x"}, "a name has 1 to 64"),
        ({"stepz": 3}, "stepz: no such key; did you mean steps?"),
    ],
)
def test_mistakes_in_a_block(values, message):
    with pytest.raises(RecipeError) as caught:
        parsed(**values)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"class_incremental": {"dataset": "d", "number_of_classes": 4, "steps": 2}}, "choose one of the two"),
        ({"class_incremental": {"dataset": "d"}}, "class_incremental: steps: is missing"),
        ({"scenarios": []}, "scenarios: is empty"),
        ({"scenarios": ["task_incremental", "task_incremental"]}, "task_incremental is listed twice"),
        ({"scenarios": ["class"]}, "must be one of task_incremental, class_incremental, domain_agnostic"),
        ({"few_shot": 0}, "few_shot: must be at least 1"),
        ({"tasks": [{"name": "a", "dataset": "d", "few_shot": 2, "take_train": 5}]}, "few_shot and take_train"),
        ({"tasks": [{"name": "a", "dataset": "d", "classes": []}]}, "classes is empty"),
        ({"tasks": [{"name": "a", "dataset": "d", "classes": [1, 1]}]}, "classes: 1 is listed twice"),
        ({"tasks": [{"name": "a", "dataset": "d", "classes": [1], "drop_classes": [2]}]}, "choose one of the two"),
        ({"tasks": [{"name": "a", "dataset": "d", "few_shot": 2, "caption_column": "c"}]}, "has no classes"),
    ],
)
def test_mistakes_in_a_recipe(values, message):
    with pytest.raises(RecipeError) as caught:
        parse_recipe({
            "model_name_or_path": "m", "method": "finetune", "tasks": [{"name": "a", "dataset": "d"}], **values,
        })  # fmt: skip
    assert message in str(caught.value)


def test_steps_hold_their_classes_and_the_dataset_is_read_once(animals, monkeypatch):
    reads = []
    original = resolve.load_local
    monkeypatch.setattr(resolve, "load_local", lambda *args: reads.append(args[1]) or original(*args))
    recipe = parsed(animals, class_order=[5, 0, 3, 1, 4, 2], expect={"train": 24, "test": 12})
    tasks, others = resolve_stream(recipe, seed=0)
    assert reads == ["train", "test"] and not others
    assert [task.class_names for task in tasks] == [["fox", "ant"], ["dog x", "bee"], ["eel", "cat"]]
    assert greys(tasks[0].test) == [0, 5, 6, 11] and tasks[0].labels("test").tolist() == [1, 0, 1, 0]
    assert sorted(row for task in tasks for row in greys(task.train)) == list(range(24))


def test_numbers_of_the_whole_dataset_are_checked(animals):
    with pytest.raises(DataError, match="step-01.*24 train where 25 are expected.*`expect_dataset`"):
        resolve_stream(parsed(animals, expect={"train": 25}), 0)
    with pytest.raises(DataError, match="6 classes where 100 are expected"):
        resolve_stream(parsed(animals, number_of_classes=100, steps=10), 0)


def test_classes_by_label_and_name(animals):
    chosen = task(animals, classes=["fox", "dog_x", 0], expect={"classes": 3, "train": 12, "test": 6})
    assert chosen.class_names == ["fox", "dog x", "ant"] and chosen.labels("test").tolist() == [2, 1, 0, 2, 1, 0]
    assert task(animals, classes=["dog x"]).class_names == ["dog x"]
    assert task(animals, drop_classes=["ant", 5]).class_names == ["bee", "cat", "dog x", "eel"]
    renamed = task(animals, classes=["hound", "ant"], class_names={"dog_x": "hound"})
    assert renamed.class_names == ["hound", "ant"]


@pytest.mark.parametrize("kind", ["int64", "string"])
def test_classes_of_labels_without_names(animals, tmp_path, kind):
    labels = [0, 1, 2, 2] if kind == "int64" else ["c", "b", "a", "a"]
    features = Features({"image": Image(), "label": Value(kind)})
    images = [PILImage.new("L", (4, 4))] * 4
    Dataset.from_dict({"image": images, "label": labels}, features=features).to_parquet(str(tmp_path / "test.parquet"))
    given = {"class_names": ["c", "b", "a"]}
    entry = TaskEntry(str(tmp_path), name="x", classes=["a", "c"], **given)
    chosen = resolve_task(entry, None, 0, evaluation_only=True)
    assert chosen.class_names == ["a", "c"] and chosen.labels("test").tolist() == [1, 0, 0]


def test_the_members_of_a_test_set_do_not_depend_on_the_classes(animals):
    values = {"train_split": "train+test", "test_fraction": 0.5}
    whole, part = task(animals, **values), task(animals, **values, classes=[4, 2])
    of_whole = [label for label in whole.labels("test") if label in (4, 2)]
    assert [(4, 2)[label] for label in part.labels("test")] == of_whole
    assert len(part.train) + len(part.test) == 12


@pytest.mark.parametrize(
    "values, message",
    [
        ({"classes": ["foks"]}, "classes: there is no class 'foks'; the dataset has 6 classes.*'fox'"),
        ({"classes": [6]}, "there is no class 6; .* labels 0 to 5"),
        ({"classes": ["fox", 5]}, "class 'fox' is listed twice, by name and by label"),
        ({"drop_classes": [0, 1, 2, 3, 4, 5]}, "leaves no class"),
        ({"classes": [1], "expect": {"train": 24}}, "4 train where 24 are expected"),
    ],
)
def test_classes_that_are_not_there(animals, values, message):
    with pytest.raises(DataError, match=message):
        task(animals, **values)


def test_few_images_of_each_class(animals, caplog):
    first, same, other = (task(animals, seed, few_shot=2, expect={"train": 24}) for seed in (1, 1, 2))
    assert np.bincount(first.labels("train")).tolist() == [2] * 6 and len(first.test) == 12
    assert greys(first.train) == greys(same.train) != greys(other.train)
    assert first.split_note == "2 training images a class, drawn with seed 1."
    with caplog.at_level(logging.WARNING):
        assert len(task(animals, few_shot=5, classes=["ant", "bee"]).train) == 8
    assert "task x: 2 classes have fewer than the 5 images of few_shot: ant (4), bee (4)" in caplog.text


def test_few_shot_of_the_recipe_is_a_default(animals):
    recipe = parse_recipe({
        "model_name_or_path": "m", "method": "finetune", "few_shot": 1,
        "tasks": [
            {"name": "a", "dataset": str(animals)}, {"name": "b", "dataset": str(animals), "few_shot": 3},
            {"name": "c", "dataset": str(animals), "take_train": 5},
        ],
    })  # fmt: skip
    assert [len(task.train) for task in resolve_stream(recipe, 0)[0]] == [6, 18, 5]


def test_the_dry_run_shows_classes_shots_and_scenarios(animals, tmp_path, capsys):
    path = tmp_path / "r.yaml"
    path.write_text(
        f"model_name_or_path: m\nmethod: finetune\nfew_shot: 2\n"
        f"class_incremental: {{dataset: '{animals}', number_of_classes: 6, steps: 3}}\n"
    )
    assert train.main([str(path), "--dry_run"]) == 0
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert shown[0][:6] == ["task", "train", "test", "classes", "shots", "steps"]
    assert shown[1][:6] == ["1", "step-01", "4", "4", "2", "2"]
    first = [line[0] for line in shown].index("class_incremental:")
    assert shown[first + 1][:2] == ["also", "task_incremental:"]
