"""Entries of a recipe become data: local copies with the layouts of the Hub's repositories, and every error."""

import io
import json
import logging
import os
import tarfile
from pathlib import Path

import datasets
import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, List, Value
from PIL import Image as PILImage

from hf_clcl.data import hub, prompts
from hf_clcl.data.references import resolve_reference_images, resolve_reference_texts
from hf_clcl.data.resolve import resolve_task
from hf_clcl.data.world import DOMAINS
from hf_clcl.errors import DataError
from hf_clcl.recipe import ReferenceEntry, TaskEntry, read_recipe

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("HF_CLCL_SHARED", ROOT.parent / "shared"))
datasets.disable_progress_bars()


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


def picture(value: int = 0) -> PILImage.Image:
    return PILImage.fromarray(np.full((4, 4), value % 256, np.uint8))


def jpeg(value: int = 0) -> bytes:
    file = io.BytesIO()
    picture(value).save(file, "JPEG")
    return file.getvalue()


def rows(labels: list, names: list[str] | None, image: str = "image", label: str = "label", **others: list) -> Dataset:
    kinds = {image: Image(), label: ClassLabel(names=names) if names else Value("int64")}
    kinds |= {name: ClassLabel(names=["some", "other"]) for name in others}
    columns = {image: [picture(index) for index in range(len(labels))], label: labels, **others}
    return Dataset.from_dict(columns, features=Features(kinds))


def parquet(folder: Path, **splits: Dataset) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    for split, data in splits.items():
        data.to_parquet(str(folder / f"{split}.parquet"))
    return str(folder)


def image_folder(folder: Path, counts: dict[str, int]) -> str:
    for name, count in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            picture(index).save(folder / name / f"{index}.JPG", "JPEG")
    return str(folder)


def tars(folder: Path, labels: dict[str, list[int]], names: list[str] | None) -> str:
    for split, values in labels.items():
        (folder / split).mkdir(parents=True)
        for shard, part in enumerate((values[::2], values[1::2])):
            with tarfile.open(folder / split / f"{shard}.tar", "w") as tar:
                for index, value in enumerate(part):
                    for suffix, data in (("webp", jpeg(index)), ("cls", str(value).encode())):
                        info = tarfile.TarInfo(f"s{index:04d}.{suffix}")
                        info.size = len(data)
                        tar.addfile(info, io.BytesIO(data))
    if names:
        (folder / "classnames.txt").write_text("\n".join(names) + "\n")
    return str(folder)


def task(dataset: str, data_root: str | None = None, evaluation_only: bool = False, **values):
    return resolve_task(TaskEntry(dataset=dataset, name="x", **values), data_root, 0, evaluation_only)


def labels(data: Dataset) -> list[int]:
    return data["label"][:]


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
    assert found.kind == "captions" and found.test["text"][:] == ["number 0", "number 1"]


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


# Errors


def broken(tmp_path: Path) -> dict[str, tuple[str, dict, str]]:
    good = parquet(tmp_path / "good", train=rows([0, 1], ["red_fox", "wolf"]), test=rows([1], ["red_fox", "wolf"]))
    parquet(tmp_path / "numbered", train=rows([0, 7], None), test=rows([0], None))
    (tmp_path / "numbered" / "classnames.txt").write_text("a\nb\n")
    two = rows([0, 1], ["background", "ant"]), rows([0], ["ant", "barrel"])
    parquet(tmp_path / "differ", train=two[0], test=two[1])
    image_folder(tmp_path / "hole", {"train/a": 1, "train/b": 0, "test/a": 1})
    (tmp_path / "nothing").mkdir()
    (tmp_path / "rotten").mkdir()
    (tmp_path / "rotten" / "train.parquet").write_bytes(b"no parquet")
    (tmp_path / "notes.md").write_text("")
    (tmp_path / "blank.txt").write_text("\n")
    stray = Features({"image": Image(decode=False), "label": ClassLabel(names=["a"])})
    outside = {"image": [{"bytes": None, "path": "/etc/hostname"}], "label": [0]}
    (tmp_path / "stray").mkdir()
    Dataset.from_dict(outside, features=stray).data.table.to_pandas().to_parquet(tmp_path / "stray" / "train.parquet")
    return {
        "missing": ("nowhere", {}, r"no dataset 'nowhere': looked for .*Beside it lie: .*good/.*owner/name"),
        "missing file": ("a/b.parquet", {}, "no dataset 'a/b.parquet'"),
        "no dataset": ("notes.md", {}, "is no dataset; needed is a .parquet file"),
        "nothing there": ("nothing", {}, "cannot be read as a dataset.*It holds nothing; needed is `<split>/<class>"),
        "rotten": ("rotten", {"train_split": "train"}, "split 'train' of .*rotten cannot be read"),
        "split": (good, {"test_split": "validation"}, "no split 'validation', but test, train.*`test_fraction`"),
        "slice": (good, {"train_split": "train[:x]"}, "split 'train.:x.' of .* cannot be read"),
        "hole": ("hole", {}, r"class folder .*train/b has no image \(1 of 2"),
        "captions": (good, {"caption_column": "text"}, r"'text' is no column; the columns are image \(Image\), label"),
        "image column": (good, {"image_column": "img"}, "image_column 'img' is no column"),
        "list": (good, {"class_names": "cifar"}, "no built-in list 'cifar'; did you mean cifar10"),
        "templates": (good, {"templates": "dtdd"}, "no built-in list 'dtdd'; did you mean dtd"),
        "other list": (good, {"class_names": "food101"}, "has words for 0 of the dataset's 2 classes only"),
        "renaming": (good, {"class_names": {"wolv": "x"}}, "renames 'wolv', which is no class; near it are wolf"),
        "out of range": ("numbered", {}, "row 1 of train has the label 7, but with 2 class names"),
        "differ": ("differ", {"class_names": "caltech101"}, "class 0 is 'background' in train and 'ant' in test"),
        "expect": (good, {"expect": {"train": 2, "test": 9, "classes": 3}}, "1 test where 9 .*2 classes where 3"),
        "expect key": (good, {"expect": {"images": 2}}, "expect: no such number 'images'"),
        "one row": (good, {"train_split": "test", "test_fraction": 0.5}, "cannot cut 1 rows"),
        "stray": ("stray", {"train_split": "train", "test_fraction": 0.5}, "refers to /etc/hostname, a file outside"),
        "rendered": ("rendered:", {}, "needed is `rendered:<domain>`"),
    }


@pytest.mark.parametrize("case", [
    "missing", "missing file", "no dataset", "nothing there", "rotten", "split", "slice", "hole", "captions",
    "image column", "list", "templates", "other list", "renaming", "out of range", "differ", "expect", "expect key",
    "one row", "stray", "rendered",
])  # fmt: skip
def test_errors_name_the_task_and_what_to_do(case, tmp_path):
    dataset, values, message = broken(tmp_path)[case]
    with pytest.raises(DataError, match=message) as error:
        task(dataset, str(tmp_path), **values)
    assert str(error.value).startswith("task x: ")


def test_errors_of_references(tmp_path):
    where = parquet(tmp_path / "d", train=rows([0], ["a"]))
    (tmp_path / "blank.txt").write_text("\n")
    with pytest.raises(DataError, match=r"reference_texts: no column of texts; .*Name the right one as `text_column`"):
        resolve_reference_texts(ReferenceEntry(where))
    with pytest.raises(DataError, match="reference_texts: .* has no text"):
        resolve_reference_texts(ReferenceEntry("blank.txt"), str(tmp_path))
    with pytest.raises(DataError, match="reference_images: .* has no split 'val', but train. .*`split`"):
        resolve_reference_images(ReferenceEntry(where, split="val"))
    with pytest.raises(DataError, match="data_root .*absent is no folder"):
        resolve_reference_images(ReferenceEntry(where), str(tmp_path / "absent"))


# The Hub, which these machines cannot reach


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (ConnectionError("Couldn't reach it"), "cannot be read from the Hub.*hf download a/b"),
        (RuntimeError("Dataset scripts are no longer supported, but found b.py"), "refs/convert/parquet"),
        (datasets.exceptions.DatasetNotFoundError("Dataset 'a/b' is a gated dataset on the Hub."), "hf auth login"),
        (ValueError('Unknown split "test". Should be one of [\'train\'].'), "one of .'train'.*`test_fraction`"),
        (ValueError("Config name is missing. Please pick one among: ['x', 'y']"), "one among: .*Set `config`"),
    ],
)  # fmt: skip
def test_what_a_failing_hub_tells_the_user(raised, message, monkeypatch):
    def fail(*args, **kwargs):
        raise raised

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(DataError, match=f"task x: .*{message}"):
        task("a/b")


def test_how_the_hub_is_asked(tmp_path, monkeypatch):
    asked = []

    def answer(path, split, **kwargs):
        asked.append({"path": path, "split": split, **kwargs})
        return rows([0, 1], None, label="cls")

    names = tmp_path / "classnames.txt"
    names.write_text("707-320\n727-200\n")
    monkeypatch.setattr(datasets, "load_dataset", answer)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *args, **kwargs: str(names))
    files = ["README.md", "classnames.txt", "test/0.tar", "train/0.tar", "train/1.tar"]
    monkeypatch.setattr("huggingface_hub.HfApi.list_repo_files", lambda *args, **kwargs: files)
    found = task("clip-benchmark/wds_fgvc_aircraft", revision="v1")
    assert found.class_names == ["707-320", "727-200"]
    tars = [f"hf://datasets/clip-benchmark/wds_fgvc_aircraft@v1/train/{shard}.tar" for shard in (0, 1)]
    assert asked[0] == {"path": "webdataset", "split": "train", "data_files": {"train": tars}}
    task("a/b", config="c", train_split="train[:5]")
    assert asked[2] == {"path": "a/b", "name": "c", "revision": None, "split": "train[:5]"}
    assert not any("trust_remote_code" in call for call in asked)


def test_a_large_reference_set_is_streamed_and_keeps_its_bytes(tmp_path, monkeypatch):
    where = parquet(tmp_path, train=rows(list(range(9)), list("abcdefghi")))
    load = datasets.load_dataset
    monkeypatch.setattr(
        datasets, "load_dataset",
        lambda path, name, revision, **kwargs: load("parquet", data_files=f"{where}/train.parquet", **kwargs),
    )  # fmt: skip
    taken = hub.stream_hub(ReferenceEntry("a/b"), "train", 4, 0, "reference_images")
    shown = {image.getpixel((0, 0)) for image in taken["image"]}
    assert len(taken) == 4 and len(shown) == 4 and shown <= set(range(9))
    monkeypatch.setattr(datasets, "load_dataset", lambda **kwargs: pytest.fail("downloaded twice"))
    again, column = resolve_reference_images(ReferenceEntry("a/b", take=4), None, 0)
    assert [image.getpixel((0, 0)) for image in again[column]] == [image.getpixel((0, 0)) for image in taken["image"]]


# Built-in lists and the recipes that use them


def test_built_in_lists_hold_together():
    sizes = {"aircraft": 100, "caltech101": 101, "cifar100": 100, "dtd": 47, "eurosat": 10, "flowers102": 102}
    sizes |= {
        "food101": 101,
        "mnist": 10,
        "pets": 37,
        "cars": 196,
        "sun397": 397,
        "imagenet": 1000,
        "tiny_imagenet": 200,
    }
    for name, size in sizes.items():
        found = prompts.built_in(name)
        assert len(found.class_names) == len(set(found.class_names)) == size, name
        assert set(found.also_called.values()) <= set(found.class_names), name
        assert all(template.count("{}") == 1 for template in [*found.templates, found.training_template]), name


def test_a_few_names_that_no_list_knows_stay_as_they_are(caplog):
    own = ["banded", "zig-zagged", "new_kind"]
    with caplog.at_level(logging.WARNING):
        assert prompts.match_class_names("dtd", own, "task x") == ["banded", "zigzagged", "new kind"]
    assert "new_kind" in caplog.text


def test_the_mtil_recipe_is_the_published_stream():
    recipe = read_recipe(ROOT / "recipes" / "mtil.yaml")
    assert [task.expect["classes"] for task in recipe.tasks] == [100, 101, 100, 47, 10, 102, 101, 10, 37, 196, 397]
    assert {task.name for task in recipe.tasks if task.training == {"learning_rate": 5e-5}} == {"aircraft", "mnist"}
    for entry in recipe.tasks:
        known = prompts.built_in(entry.class_names)
        assert entry.templates == entry.class_names and len(known.class_names) == entry.expect["classes"]
    assert recipe.reference_images.take == 100_000 and recipe.reference_texts.split == "validation"


def test_rendered_domains_bring_their_templates():
    found = task("rendered:shapes@24", take_train=12)
    assert (len(found.train), len(found.test), found.train[0]["image"].size) == (12, 200, (24, 24))
    assert found.templates == list(DOMAINS["shapes"].templates)
    assert task("rendered:shapes", take_train=1, take_test=1, templates=["a {}"]).templates == ["a {}"]


def test_rendered_captions_and_references():
    pairs = task("rendered:captioned", take_train=9, take_test=9, caption_column="captions")
    assert pairs.kind == "captions" and pairs.train["captions"][:] != pairs.test["captions"][:]
    images, column = resolve_reference_images(ReferenceEntry("rendered:reference", take=5))
    assert len(images) == 5 and images[0][column].size == (32, 32)
    texts = resolve_reference_texts(ReferenceEntry("rendered:reference@16", take=40))
    assert len(texts) == 40 and len(set(texts)) > 5


def test_errors_of_rendered_data():
    with pytest.raises(DataError, match="no rendered:shape; the rendered world has .*shapes.*captioned"):
        task("rendered:shape")
    with pytest.raises(DataError, match="rendered:shapes has no split 'val', but train, test"):
        task("rendered:shapes", test_split="val", take_train=1)


# Real data


@pytest.mark.skipif(not (SHARED / "data").is_dir(), reason=f"no real data in {SHARED / 'data'}; set HF_CLCL_SHARED")
def test_the_real_small_stream():
    sizes = json.loads((SHARED / "data" / "index.json").read_text())
    for name in ("eurosat", "gtsrb43", "mnist", "cifar10"):
        expect = {key: sizes[name][key] for key in ("classes", "train", "test")}
        found = task(name, str(SHARED / "data"), expect=expect)
        assert found.test[0]["image"].size[0] > 20 and not any("_" in word for word in found.class_names)
    images, column = resolve_reference_images(ReferenceEntry("tiny_imagenet", take=50), str(SHARED / "data"), 0)
    assert len(images) == 50 and images[0][column].size == (64, 64)
    texts = resolve_reference_texts(ReferenceEntry("flickr8k", take=99, text_column="captions"), str(SHARED / "data"))
    assert len(texts) == 99 and all(text == text.strip() for text in texts)


def test_importing_the_module_loads_no_library():
    code = "import sys, hf_clcl.data.resolve; sys.exit(bool({'torch', 'datasets', 'transformers'} & set(sys.modules)))"
    assert os.spawnl(os.P_WAIT, os.sys.executable, os.sys.executable, "-c", code) == 0
