"""Every recipe of the project against imitations of the Hub's repositories: what the dry run shows of its stream."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch

from helpers import ROOT, imitations
from helpers.dataset_hub import DatasetHub, connect
from hf_clcl.cli import train
from hf_clcl.data import resolve
from hf_clcl.data.published_split import file_stems
from hf_clcl.data.references import resolve_reference_images, resolve_reference_texts
from hf_clcl.data.texts import prompts
from hf_clcl.record.repetitions import decisive_values
from hf_clcl.stream.recipes import parse_recipe, read_recipe
from hf_clcl.utils.errors import RecipeError

RECIPES = sorted(path.name for path in ROOT.glob("recipes/*.yaml"))
RENDERED = ["shapes", "textures", "digits", "faces", "colours", "dice", "scenes", "sketches"]

# Task, training images, test images, classes.
MTIL = [
    ("aircraft", 3334, 3333, 100), ("caltech101", 6941, 1736, 101), ("cifar100", 50000, 10000, 100),
    ("dtd", 1880, 1880, 47), ("eurosat", 21600, 5400, 10), ("flowers102", 1020, 6149, 102),
    ("food101", 75750, 25250, 101), ("mnist", 60000, 10000, 10), ("oxford_pets", 3680, 3669, 37),
    ("stanford_cars", 8144, 8041, 196), ("sun397", 87003, 21751, 397),
]  # fmt: skip
ORDER_2 = [
    "stanford_cars", "food101", "mnist", "oxford_pets", "flowers102", "sun397", "aircraft", "caltech101", "dtd",
    "eurosat", "cifar100",
]  # fmt: skip
WATCHED = [("held_out", None, 5000, 50), ("food101", None, 25250, 101), ("flickr30k", None, 1000, None)]


def steps(*sizes: int, train: int, test: int) -> list[tuple]:
    return [(f"step-{i:02d}", train * size, test * size, size) for i, size in enumerate(sizes, start=1)]


STREAMS = {
    **{f"mtil{name}.yaml": MTIL for name in (
        "", "_finetune", "_icarl", "_lora", "_lwf", "_separate", "_vr_lwf", "_wise_ft", "_zero_shot", "_zscl_star"
    )},
    "mtil_order2.yaml": sorted(MTIL, key=lambda row: ORDER_2.index(row[0])),
    "mtil_5shot.yaml": [(name, 5 * classes, test, classes) for name, _, test, classes in MTIL],
    "cifar100_10.yaml": steps(*[10] * 10, train=500, test=100),
    "cifar100_20.yaml": steps(*[5] * 20, train=500, test=100),
    "cifar100_50.yaml": steps(*[2] * 50, train=500, test=100),
    "tinyimagenet_5.yaml": steps(100, *[20] * 5, train=500, test=50),
    "tinyimagenet_10.yaml": steps(100, *[10] * 10, train=500, test=50),
    "tinyimagenet_20.yaml": steps(100, *[5] * 20, train=500, test=50),
    "vr_lwf_one_session.yaml": [("update", 25000, 5000, 50), *WATCHED],
    "vr_lwf_sessions.yaml": [*[(f"session-{i}", 5000, 1000, 10) for i in range(1, 6)], *WATCHED],
    "cil_food101.yaml": steps(11, *[10] * 9, train=750, test=250),
    # Flowers102 has ten training images of each class.
    "x_tail.yaml": [
        (name, min(16, train // classes) * classes, test, classes)
        for name, train, test, classes in MTIL
        if name != "cifar100"
    ],
    "captions.yaml": [("flickr30k", 900, 1000, None), ("mscoco", 900, 5000, None), ("cifar100", None, 10000, 100)],
    "quickstart.yaml": [(name, 400, 200, None) for name in RENDERED],
}  # fmt: skip
# The imitation of ImageNet has not the same number of images of each class; tiny_clip.yaml draws only a few pictures.
IMAGENET = {
    "imagenet100_10.yaml": [10] * 10, "imagenet100_10_icarl.yaml": [10] * 10, "imagenet100_10_lwf_vr.yaml": [10] * 10,
    "imagenet100_50_5.yaml": [50, *[5] * 10], "imagenet1k_100.yaml": [100] * 10,
}  # fmt: skip
# Their classes have different numbers of images, or the images are in a folder of the user.
SUITE = {
    "cil_aircraft.yaml": [10] * 10, "cil_cars.yaml": [16, *[20] * 9], "cil_cub200.yaml": [20] * 10,
    "cil_imagenet_r.yaml": [20] * 10, "cil_objectnet.yaml": [20] * 10, "cil_ucf101.yaml": [10] * 10,
}  # fmt: skip
APART = [*IMAGENET, *SUITE, "tiny_clip.yaml", "mtil_robust.yaml"]
REAL = [name for name in RECIPES if name.startswith("real_")]
VIDEO = [name for name in RECIPES if name.startswith(("msrvtt", "activitynet"))]  # they need clips


@pytest.fixture(scope="module")
def benchmarks(tmp_path_factory):
    """The Hub with imitations of all repositories. Each is loaded through it once, and then kept in memory."""
    folder = tmp_path_factory.mktemp("benchmarks")
    imitations.build(folder / "repositories")
    hub = DatasetHub(folder / "hub")
    hub.add_folder(folder / "repositories")
    loaded, load_hub = {}, resolve.load_hub

    def load_once(entry, split, where):
        key = (entry.dataset, entry.config, entry.revision, split)
        if key not in loaded:
            loaded[key] = load_hub(entry, split, where)
        return loaded[key]

    with pytest.MonkeyPatch.context() as patch:
        connect(patch, hub, folder / "caches")
        patch.setattr(resolve, "load_hub", load_once)
        patch.setenv("COLUMNS", "160")
        yield hub
    hub.stop()


def dry_run(recipe: str, capsys, *options: str) -> tuple[list[tuple], str]:
    """The rows of the table that the command prints (task, train, test, classes), and all that it prints."""
    assert train.main([str(ROOT / "recipes" / recipe), "--dry_run", *options]) == 0
    shown = capsys.readouterr().out
    head, *lines = shown.splitlines()
    ends = {name: head.index(name) + len(name) for name in ("train", "test", "classes")}
    starts = {"train": head.index("task") + 4, "test": ends["train"], "classes": ends["test"]}
    rows = []
    for line in lines:
        if not (numbered := re.match(r" *\d+  ([\w-]+) ", line)):
            break
        cells = [line[max(starts[key], numbered.end()) : ends[key]].strip().replace(",", "") for key in ends]
        rows.append((numbered[1], *(int(cell) if cell else None for cell in cells)))
    return rows, shown


def test_every_recipe_is_known_here():
    """A new recipe comes with what its dry run must show."""
    assert sorted([*STREAMS, *APART, *REAL, *VIDEO]) == RECIPES


@pytest.mark.parametrize("recipe", sorted(STREAMS))
def test_the_dry_run_shows_the_stream(recipe, benchmarks, capsys):
    found, _ = dry_run(recipe, capsys)
    wanted = STREAMS[recipe]
    if recipe == "quickstart.yaml":
        found = [(*row[:3], None) for row in found]
    assert found == wanted


@pytest.mark.parametrize("recipe", REAL)
def test_the_dry_run_on_real_data(recipe, shared, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    found, _ = dry_run(recipe, capsys, "--data_root", str(shared / "data"))
    parsed = read_recipe(ROOT / "recipes" / recipe)
    entries = [*parsed.tasks, *parsed.evaluation_only]
    sizes = json.loads((shared / "data" / "index.json").read_text())
    assert [row[0] for row in found] == [entry.name for entry in entries]
    for (name, images, tests, classes), entry in zip(found, entries, strict=True):
        assert tests and (images or entry in parsed.evaluation_only), name
        if entry.read() == f"{name}, train and test" and entry.classes is None and images:
            assert (images, tests, classes) == tuple(sizes[name].get(key) for key in ("train", "test", "classes"))


def test_the_dry_run_of_tiny_clip(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    few = [option for name in RENDERED for option in (f"--task_values.{name}.take_test", "12")]
    options = ["--task_values.pairs.take_train", "12", "--task_values.pairs.take_test", "12", *few]
    found, _ = dry_run("tiny_clip.yaml", capsys, *options)
    assert [row[:3] for row in found] == [("pairs", 12, 12), *[(name, None, 12) for name in RENDERED]]


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["imagenet100_50_5.yaml", "imagenet1k_100.yaml"])
def test_imagenet(recipe, benchmarks, capsys):
    """Classes and test images of each step; the imitation has 1,281 or 1,282 training images of each class."""
    found, shown = dry_run(recipe, capsys)
    assert [row[2:] for row in found] == [(50 * size, size) for size in IMAGENET[recipe]]
    assert all(1281 * size <= row[1] <= 1282 * size for row, size in zip(found, IMAGENET[recipe], strict=True))
    assert "ILSVRC/imagenet-1k, train and validation" in shown
    assert "class_incremental: among the classes of all tasks seen so far" in shown


@pytest.mark.parametrize("recipe", sorted(IMAGENET))
def test_the_steps_of_imagenet(recipe):
    parsed = read_recipe(ROOT / "recipes" / recipe)
    assert [len(task.classes) for task in parsed.tasks] == IMAGENET[recipe]
    assert {task.expect_dataset["classes"] for task in parsed.tasks} == {1000}


@pytest.mark.parametrize("recipe", sorted(SUITE))
def test_the_class_incremental_suite(recipe, benchmarks, tmp_path, capsys):
    """Classes in the order of seed 1993, from the Hub or from a folder of the user."""
    block = read_recipe(ROOT / "recipes" / recipe).class_incremental
    np.random.seed(1993)
    assert block.order() == np.random.permutation(block.number_of_classes).tolist()
    if "/" not in block.dataset:
        for split in ("train", "test"):
            for label in range(block.number_of_classes):
                folder = tmp_path / block.dataset / split / f"class_{label:03d}"
                folder.mkdir(parents=True)
                (folder / "0.png").write_bytes(imitations.picture(label % 256))
    found, _ = dry_run(recipe, capsys, *([] if "/" in block.dataset else ["--data_root", str(tmp_path)]))
    sizes = block.expect or {"train": block.number_of_classes, "test": block.number_of_classes}
    assert [row[3] for row in found] == SUITE[recipe]
    assert [sum(row[place] for row in found) for place in (1, 2)] == [sizes["train"], sizes["test"]]


ABLATIONS = sorted(path.name for path in ROOT.glob("recipes/ablations/*.yaml"))


@pytest.mark.parametrize("recipe", ABLATIONS)
def test_an_ablation_differs_from_mtil_in_its_own_lines_alone(recipe):
    changed = read_recipe(ROOT / "recipes" / "ablations" / recipe)
    same = read_recipe(ROOT / "recipes" / "mtil.yaml", {"method": changed.method})
    own, base = decisive_values(changed.to_dict()), decisive_values(same.to_dict())
    different = {key for key in own.keys() | base.keys() if own.get(key) != base.get(key)}
    assert len(different) <= 3 and (different or recipe in ("wc.yaml", "we.yaml"))
    assert all(key.startswith(("methods.", "reference_images.")) for key in different)


def test_the_probes_of_robustness():
    parsed = read_recipe(ROOT / "recipes" / "mtil_robust.yaml")
    assert len(parsed.tasks) == 11 and all(e.dataset.startswith("clip-benchmark/wds_") for e in parsed.evaluation_only)


def test_what_the_table_tells_of_the_data(benchmarks, capsys):
    _, shown = dry_run("mtil.yaml", capsys)
    for line in (
        "2: Donghyun99/Caltech-101, train+test, 20% of it for testing",
        "3: uoft-cs/cifar100, train and test",
        "7: ethz/food101, train and validation",
        "a photo of a off-center face.",
        'a photo of the number: "0 - zero".',
        "task_incremental: among the classes of the image's own task",
    ):
        assert line in shown, line


def test_the_words_of_the_classes(benchmarks):
    """What the repositories call their classes, in other orders and spellings, becomes the published words."""
    tasks = {task.name: task for task in read_recipe(ROOT / "recipes" / "mtil.yaml").tasks}
    for name, entry in tasks.items():
        found = resolve.resolve_task(entry)
        assert sorted(found.class_names) == sorted(prompts.built_in(entry.class_names).class_names), name
    caltech = resolve.resolve_task(tasks["caltech101"])
    assert caltech.class_names[:4] == ["off-center face", "centered face", "leopard", "motorbike"]
    assert resolve.resolve_task(tasks["cifar100"]).class_names[26] == "crab"
    tiny = read_recipe(ROOT / "recipes" / "tinyimagenet_5.yaml").tasks
    assert resolve.resolve_task(tiny[1]).class_names[:2] == ["bee", "high-speed train"]


def test_the_members_of_eurosat_are_the_published_ones(benchmarks):
    """`torchvision.datasets.EuroSAT` in its order, divided by `random_split` with seed 42."""
    entry = next(task for task in read_recipe(ROOT / "recipes" / "mtil.yaml").tasks if task.name == "eurosat")
    found = resolve.resolve_task(entry)
    folders = [f"{folder}_{number}" for folder in imitations.EUROSAT_FILES for number in range(1, 2701)]
    order = sorted(folders)  # the folder is the start of each name
    drawn = torch.randperm(27000, generator=torch.Generator().manual_seed(42)).tolist()
    for rows, members in ((found.train, drawn[:21600]), (found.test, drawn[21600:])):
        assert file_stems(rows, "image") == [order[index] for index in members]
    assert found.split_members == "published"


def test_the_reference_set_is_streamed_and_checked(benchmarks):
    recipe = read_recipe(ROOT / "recipes" / "mtil.yaml")
    assert len(resolve_reference_texts(recipe.reference_texts)) == 15840
    recipe.reference_images.take, recipe.reference_images.expect = 300, {"images": 300}
    images, column = resolve_reference_images(recipe.reference_images)
    assert (len(images), column, images[0][column].size) == (300, "image", (8, 8))
    again, _ = resolve_reference_images(recipe.reference_images)
    assert again[:] == images[:]


def test_a_class_order_that_is_none_names_the_block():
    overrides = {"class_incremental.class_order": "[0, 0, 1]"}
    with pytest.raises(RecipeError, match="class_incremental: class_order: is no permutation of the 100 labels"):
        read_recipe(ROOT / "recipes" / "cifar100_10.yaml", overrides)


def test_another_copy_of_a_dataset_is_named_on_the_command_line(benchmarks, capsys):
    found, shown = dry_run("mtil_5shot.yaml", capsys, "--task_values.dtd.take_test", "40", "--few_shot", "2")
    assert found[3] == ("dtd", 94, 40, 47)
    options = ["--task_values.dtd.dataset", "clip-benchmark/wds_cars"]
    assert train.main([str(ROOT / "recipes" / "mtil.yaml"), "--dry_run", *options]) == 1
    assert "task dtd: class_names: the list 'zscl_mtil/dtd' has words for" in capsys.readouterr().err


ENTRIES = [{"name": name, "dataset": "d"} for name in "abc"]
MINIMAL = {"model_name_or_path": "m", "method": "finetune", "tasks": ENTRIES}


def test_task_order_and_task_values():
    recipe = parse_recipe({**MINIMAL, "task_order": ["c", "a", "b"], "task_values": {"a": {"max_steps": 3}}})
    assert [task.name for task in recipe.tasks] == ["c", "a", "b"] and recipe.tasks[1].training == {"max_steps": 3}
    assert parse_recipe(recipe.to_dict()) == recipe


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task_order": ["c", "a"]}, "task_order: must name all 3 tasks, each once: missing b"),
        ({"task_order": ["c", "a", "b", "a", "d"]}, "no tasks d; listed twice a"),
        ({"task_order": "abc"}, "task_order: needs"),
        ({"task_values": {"d": {}}}, "task_values.d: there is no task of this name"),
        ({"task_values": {"a": 1}}, "task_values"),
        ({"task_values": {"a": {"max_stepz": 1}}}, "tasks: a: max_stepz: no such key; did you mean max_steps?"),
    ],
)
def test_mistakes_in_them_are_explained(change, message):
    with pytest.raises(RecipeError, match=re.escape(message)):
        parse_recipe({**MINIMAL, **change})
