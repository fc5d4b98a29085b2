"""A task finds its columns by type, and says what is wrong with its data."""

import logging

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Image, List, Value, disable_progress_bars
from PIL import Image as PILImage

from hf_clcl.data.columns import words
from hf_clcl.data.task import Task
from hf_clcl.utils.errors import DataError

disable_progress_bars()
LABEL = ClassLabel(names=["red_fox", "wolf", "/o/owl"])


def images(number: int) -> list[PILImage.Image]:
    return [PILImage.fromarray(np.full((4, 4, 3), 20 * index, np.uint8)) for index in range(number)]


def rows(labels: list, feature=LABEL, image="image", label="label", **others) -> Dataset:
    columns = {image: images(len(labels)), label: labels, **{name: values for name, (values, _) in others.items()}}
    types = {image: Image(), label: feature, **{name: kind for name, (_, kind) in others.items()}}
    return Dataset.from_dict(columns, features=Features(types))


def captioned(captions: list, feature=None) -> Dataset:
    features = Features({"photo": Image(), "said": feature or List(Value("string"))})
    return Dataset.from_dict({"photo": images(len(captions)), "said": captions}, features=features)


def test_columns_are_found_by_type_and_the_others_left_out():
    data = rows([0, 1, 2], image="img", label="fine_label", number=([7, 8, 9], Value("int64")))
    task = Task("animals", train=data, test=data)
    assert (task.image_column, task.label_column, task.kind.name) == ("img", "fine_label", "classification")
    assert task.train.column_names == ["img", "fine_label"]


def test_class_names_become_words():
    assert words("/a/apartment_building/outdoor") == "apartment building outdoor"
    assert words("F-16A/B") == "F-16A/B"
    assert Task("animals", test=rows([0, 1, 2])).class_names == ["red fox", "wolf", "owl"]


def test_prompts_of_each_template_and_class():
    task = Task("animals", test=rows([0]), templates=["a {}.", "my {} {{"], class_names=["a{}", "b", "c"])
    assert task.prompts == [["a a{}.", "a b.", "a c."], ["my a{} {{", "my b {{", "my c {{"]]
    assert task.training_prompts == ["a a{}.", "a b.", "a c."]
    assert Task("animals", test=rows([0]), training_template="one {}").training_prompts[1] == "one wolf"


def test_a_struct_of_bytes_is_an_image():
    raw = {"bytes": Value("binary"), "path": Value("string")}
    data = rows([0, 1, 2]).cast_column("image", Image(decode=False))
    cells = Dataset.from_dict(
        {"image": data["image"][:], "label": [0, 1, 2]}, features=Features({"image": raw, "label": LABEL})
    )
    assert Task("animals", test=cells).test[0]["image"].size == (4, 4)


def test_labels_of_text_are_encoded_alike_in_both_splits():
    text = Value("string")
    task = Task("t", train=rows(["b", "a"], text), test=rows(["b", "b"], text))
    assert task.class_names == ["a", "b"]
    assert task.train["label"][:] == [1, 0] and task.test["label"][:] == [1, 1]
    named = Task("t", train=rows(["b", "a"], text), class_names=["b", "c", "a"])
    assert named.train["label"][:] == [0, 2]


def test_captions_need_no_labels():
    task = Task("pairs", train=captioned([["a", "b"], ["c"]]), caption_column="said")
    assert (task.kind.name, task.image_column, task.class_names, task.prompts) == ("captions", "photo", None, [[]])
    assert Task("pairs", test=captioned(["a"], Value("string")), caption_column="said").kind.name == "captions"


def test_a_class_without_training_images_is_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        Task("animals", train=rows([0, 2]))
    assert "task animals: 1 classes have no training image: wolf" in caplog.text


NUMBERS = Value("int64")
WRONG = {
    "no data": (lambda: {}, "neither `train` nor `test`"),
    "several splits": (lambda: {"train": {"a": 1}}, "must be a `datasets.Dataset` .* got a dict"),
    "empty": (lambda: {"test": rows([0]).select([])}, "test has no rows"),
    "no image": (
        lambda: {"test": rows([0]).remove_columns("image")},
        r"no column of images.*label \(ClassLabel of 3\)",
    ),
    "image column": (
        lambda: {"test": rows([0]), "image_column": "label"},
        "image_column 'label' does not hold images",
    ),
    "label column": (lambda: {"test": rows([0]), "label_column": "y"}, "label_column 'y' is not a column"),
    "no label": (lambda: {"test": captioned([["a"]])}, r"no column of labels.*said \(list of string\)"),
    "two labels": (
        lambda: {"test": rows([0], label="a", b=([0], LABEL))},
        "several columns may be the labels: a, b.*`label_column`",
    ),
    "nameless": (lambda: {"test": rows([0], NUMBERS)}, "has numbers without names; give `class_names`"),
    "numbers": (lambda: {"test": rows([0], ClassLabel(names=["1", "10"]))}, "named by numbers only .1, 10."),
    "other label types": (
        lambda: {"train": rows([0, 1]), "test": rows([0, 1], NUMBERS)},
        "column 'label' is ClassLabel.* in train, but Value",
    ),
    "label too high": (
        lambda: {"test": rows([0, 2, 6], NUMBERS), "class_names": ["a", "b"]},
        r"row 1 of test has the label 2, but with 2 class names labels must be 0 to 1 \(2 such rows\)",
    ),
    "label missing": (lambda: {"train": rows([0, None])}, "row 1 of train has the label -1"),
    "unknown text": (
        lambda: {"train": rows(["a", "x"], Value("string")), "class_names": ["a", "b"]},
        "row 1 of train has the label 'x'",
    ),
    "too few names": (lambda: {"test": rows([0]), "class_names": ["a"]}, "1 class names for the 3 classes"),
    "same name": (lambda: {"test": rows([0]), "class_names": ["a", "b", "a"]}, "two classes are called 'a'"),
    "empty name": (lambda: {"test": rows([0]), "class_names": ["a", " ", "b"]}, "class 1 has an empty name"),
    "template": (lambda: {"test": rows([0]), "templates": ["a photo"]}, "template 'a photo' needs one {}"),
    "no template": (lambda: {"test": rows([0]), "templates": []}, "templates must have at least one entry"),
    "other columns": (lambda: {"train": rows([0]), "test": rows([0], label="y")}, "test has no column 'label'"),
    "other classes": (
        lambda: {"train": rows([0]), "test": rows([0], ClassLabel(names=["wolf", "red_fox", "/o/owl"]))},
        "class 0 is 'red_fox' in train and 'wolf' in test",
    ),
    "no caption": (lambda: {"test": captioned([["a"], []]), "caption_column": "said"}, "row 1 of test has no caption"),
    "empty caption": (
        lambda: {"test": captioned(["", None], Value("string")), "caption_column": "said"},
        r"row 0 of test has no caption in 'said' \(2 such rows\)",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_errors_name_the_task_and_the_fault(case):
    values, message = WRONG[case]
    with pytest.raises(DataError, match=message) as error:
        Task("animals", **values())
    assert str(error.value).startswith("task animals: ")


def test_a_name_that_is_no_folder():
    with pytest.raises(DataError, match="names a folder"):
        Task("../animals", test=rows([0]))
