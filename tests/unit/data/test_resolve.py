"""Entries of a recipe become data: local copies with the layouts of the Hub's repositories."""

import json
import logging

import pytest
from datasets import Dataset, DatasetDict, Features, Image, List, Value

from helpers.small_datasets import image_folder, labels, parquet, picture, rows, tars, task
from hf_clcl.config.recipe import ReferenceEntry, TaskEntry
from hf_clcl.data.references import resolve_reference_images, resolve_reference_texts
from hf_clcl.data.resolve import resolve_task
from hf_clcl.utils.errors import DataError

pytestmark = pytest.mark.usefixtures("own_cache")


# The layouts of the Hub


def test_cifar100_with_two_kinds_of_labels_and_a_misspelt_class(tmp_path):
    names = ["couch", "cra", "crocodile", "aquarium_fish"]
    data = rows([3, 1, 0, 2], names, image="img", label="fine_label", coarse_label=[0, 1, 0, 1])
    where = parquet(
        tmp_path / "cifar100", **{"train-00000-of-00002": data, "train-00001-of-00002": data, "test": data}
    )
    with pytest.raises(DataError, match="several|fine_label"):
        task(where, label_column="label")
    found = task(where, label_column="fine_label", class_names="cifar100", templates="cifar100")
    assert found.class_names == ["couch", "crab", "crocodile", "aquarium fish"]
    assert (len(found.train), len(found.test), found.image_column) == (8, 4, "img")
    assert len(found.templates) == 18 and found.training_prompts[1] == "a photo of a crab."


def test_caltech101_joins_its_splits_and_leaves_the_background_out(tmp_path):
    names = ["BACKGROUND_Google", "Faces", "Faces_easy", "accordion"]
    where = parquet(tmp_path, train=rows([0, 1, 2, 3, 1, 0], names), test=rows([3, 0, 2, 1], names))
    found = task(where, train_split="train+test", test_fraction=0.3, class_names="caltech101", templates="caltech101")
    assert found.class_names == ["off-center face", "centered face", "accordion"]
    assert (len(found.train), len(found.test)) == (4, 3)  # 7 remain; 30 % of them, rounded up, are for testing
    assert sorted(labels(found.train) + labels(found.test)) == [0, 0, 0, 1, 1, 2, 2]
    shown = [(row["image"].getpixel((0, 0)), row["label"]) for part in (found.train, found.test) for row in part]
    assert (3, 2) in shown and (4, 0) in shown, "each image keeps its label"


def test_sun397_names_are_paths_and_its_only_split_is_cut_with_a_fixed_seed(tmp_path):
    names = ["/a/abbey", "/a/apartment_building/outdoor", "/c/church/indoor"]
    where = parquet(tmp_path, train=rows([0, 1, 2] * 10, names))
    first, second = (resolve_task(TaskEntry(where, name="x", test_fraction=0.2), None, seed) for seed in (0, 1))
    assert first.class_names == ["abbey", "apartment building outdoor", "church indoor"]
    assert (len(first.train), len(first.test)) == (24, 6)
    assert labels(first.test) == labels(second.test), "the run's seed does not move the test set"
    only = task(where, test_fraction=0.2, evaluation_only=True, class_names="sun397")
    assert only.train is None and labels(only.test) == labels(first.test)


def test_webdataset_tars_take_names_from_classnames_txt(tmp_path):
    where = tars(tmp_path / "wds", {"train": [0, 1, 2, 0], "test": [2, 1]}, ["707-320", "F-16A/B", "Boeing 717"])
    found = task(where, class_names="aircraft")
    assert found.class_names == ["707-320", "F-16A/B", "Boeing 717"]
    assert (found.image_column, found.label_column) == ("webp", "cls")
    assert sorted(found.train["cls"][:]) == [0, 0, 1, 2] and found.train[0]["webp"].size == (4, 4)
    assert task(where).class_names == found.class_names


def test_mnist_digits_get_words(tmp_path):
    where = parquet(
        tmp_path, train=rows([0, 9], [str(digit) for digit in range(10)]), test=rows([1], list("0123456789"))
    )
    assert task(where, class_names="mnist").class_names[8] == "8 - eight"
    with pytest.raises(DataError, match="task x: .*named by numbers only"):
        task(where)


def test_tiny_imagenet_ids_become_words_also_where_they_are_written_otherwise(tmp_path):
    ids = ["n01443537", "n07646821", "n08742578"]
    found = task(
        parquet(tmp_path, train=rows([0], ids), valid=rows([1], ids)), test_split="valid", class_names="tiny_imagenet"
    )
    assert found.class_names == ["goldfish", "goose", "chihuahua"]


def test_an_image_folder_with_splits_without_them_and_without_classes(tmp_path):
    for split, number in {"train": 3, "test": 2}.items():
        image_folder(tmp_path / "split" / split, {"red_fox": number, "wolf": number})
    found = task(str(tmp_path / "split"))
    assert found.class_names == ["red fox", "wolf"] and (len(found.train), len(found.test)) == (6, 4)
    assert found.train[0]["image"].size == (4, 4)
    whole = image_folder(tmp_path / "whole", {"red_fox": 6, "wolf": 4})
    assert len(task(whole, test_fraction=0.25).test) == 3
    assert len(task(whole, test_split="train", evaluation_only=True).test) == 10
    flat = image_folder(tmp_path / "flat", {".": 5})
    assert len(resolve_reference_images(ReferenceEntry(flat, take=3))[0]) == 3


def test_a_class_that_one_split_lacks_keeps_the_numbers_of_the_others(tmp_path, caplog):
    image_folder(tmp_path / "train", {"b": 2})
    image_folder(tmp_path / "test", {"a": 1, "b": 1})
    with caplog.at_level(logging.WARNING):
        found = task(str(tmp_path))
    assert found.class_names == ["a", "b"] and labels(found.train) == [1, 1] and "no training image: a" in caplog.text
    image_folder(tmp_path / "train", {"c": 1})
    assert labels(task(str(tmp_path)).train) == [1, 1, 2]


def test_saved_to_disk_one_split_and_several(tmp_path):
    data = rows([0, 1, 1, 0], ["a", "b"])
    data.save_to_disk(str(tmp_path / "one"))
    DatasetDict(train=data, test=data.select([0])).save_to_disk(str(tmp_path / "two"))
    assert len(task(str(tmp_path / "one"), test_fraction=0.25).train) == 3
    assert len(task(str(tmp_path / "two")).test) == 1


def test_a_local_copy_of_a_hub_repository_and_a_single_file(tmp_path):
    data = rows([0, 1, 1, 0], ["a", "b"])
    parquet(tmp_path / "copy" / "data", **{"train-00000-of-00001": data, "test-00000-of-00001": data.select([0])})
    assert len(task(str(tmp_path / "copy")).test) == 1
    file = tmp_path / "copy" / "data" / "train-00000-of-00001.parquet"
    assert len(task(str(file), train_split="train[:50%]", test_split="train[50%:]").train) == 2


def test_a_metadata_file_gives_captions(tmp_path):
    image_folder(tmp_path / "train", {".": 2})
    lines = [json.dumps({"file_name": f"{index}.JPG", "text": f"number {index}"}) for index in range(2)]
    (tmp_path / "train" / "metadata.jsonl").write_text("\n".join(lines))
    found = task(str(tmp_path), caption_column="text", test_split="train", evaluation_only=True)
    assert found.kind.name == "captions" and found.test["text"][:] == ["number 0", "number 1"]


# What an entry asks for


def test_paths_start_from_data_root_and_then_from_the_working_directory(tmp_path, monkeypatch):
    parquet(tmp_path / "root" / "a", train=rows([0], ["in root"]), test=rows([0], ["in root"]))
    for name in "ab":
        parquet(tmp_path / name, train=rows([0], ["here"]), test=rows([0], ["here"]))
    monkeypatch.chdir(tmp_path)
    assert task("a", "root").class_names == ["in root"]
    assert task("b", "root").class_names == task("a").class_names == ["here"]


def test_take_draws_by_the_seed_of_the_run(tmp_path):
    where = parquet(
        tmp_path,
        train=rows(list(range(20)), list("abcdefghijklmnopqrst")),
        test=rows([0] * 5, list("abcdefghijklmnopqrst")),
    )
    drawn = [resolve_task(TaskEntry(where, name="x", take_train=6, take_test=9), None, seed) for seed in (1, 1, 2)]
    assert len(set(labels(drawn[0].train))) == 6 and len(drawn[0].test) == 5
    assert labels(drawn[0].train) == labels(drawn[1].train) != labels(drawn[2].train)


def test_class_names_as_a_list_and_as_a_renaming(tmp_path):
    where = parquet(tmp_path, train=rows([0], ["red_fox", "wolf"]), test=rows([1], ["red_fox", "wolf"]))
    assert task(where, class_names=["1", "2"]).class_names == ["1", "2"]
    assert task(where, class_names={"wolf": "grey wolf"}).class_names == ["red fox", "grey wolf"]
    assert task(where, class_names={"red fox": "vulpes"}).class_names == ["vulpes", "wolf"]


def test_labels_of_text_can_be_renamed(tmp_path):
    features = Features({"image": Image(), "label": Value("string")})
    data = Dataset.from_dict({"image": [picture()] * 2, "label": ["wolf", "red_fox"]}, features=features)
    found = task(parquet(tmp_path, train=data, test=data), class_names={"wolf": "grey wolf"})
    assert found.class_names == ["red fox", "grey wolf"] and labels(found.train) == [1, 0]


def test_what_the_card_needs_is_kept(tmp_path):
    where = parquet(tmp_path, train=rows([0], ["a"]), test=rows([0], ["a"]))
    found = task(where, licence="MIT", split_note="ours", training={"max_steps": 3}, training_template="one {}")
    assert (found.source, found.licence, found.split_note) == (where, "MIT", "ours")
    assert found.training == {"max_steps": 3} and found.training_prompts == ["one a"]


def test_evaluation_only_needs_no_training_split(tmp_path):
    found = task(parquet(tmp_path, test=rows([0], ["a"])), evaluation_only=True, expect={"train": 5, "test": 1})
    assert found.train is None and len(found.test) == 1


# References


def test_reference_texts_from_a_file_and_from_captions(tmp_path):
    (tmp_path / "texts.txt").write_text("one\n\n two \nthree\n")
    assert resolve_reference_texts(ReferenceEntry("texts.txt"), str(tmp_path)) == ["one", "two", "three"]
    features = Features({"image": Image(), "captions": List(Value("string"))})
    data = Dataset.from_dict({"image": [picture()] * 3, "captions": [["a", "b"], [], ["c\nd"]]}, features=features)
    where = parquet(tmp_path / "pairs", train=data)
    assert resolve_reference_texts(ReferenceEntry(where)) == ["a", "b", "c", "d"]
    drawn = [resolve_reference_texts(ReferenceEntry(where, take=2), None, seed) for seed in (0, 0, 3)]
    assert drawn[0] == drawn[1] and len(drawn[0]) == 2
    images, column = resolve_reference_images(ReferenceEntry(where, take=2), None, 0)
    assert images.column_names == [column] == ["image"] and len(images) == 2
