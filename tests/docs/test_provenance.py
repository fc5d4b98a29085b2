"""Values that recipes mark with a source are those of the recorded facts; the facts are those that were recorded."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from helpers import ROOT
from hf_clcl.config.protocols import class_orders, named, protocol, protocol_names
from hf_clcl.data.texts.prompts import built_in, imagenet_synsets
from hf_clcl.record.expectations import compare_with_published
from hf_clcl.record.run_record import RunRecord
from hf_clcl.stream.recipes import read_recipe

FILES = sorted(path for path in ROOT.glob("recipes/**/*.yaml") if "accelerate" not in path.parts)
LEGEND = re.compile(r"\[([A-Z])\]: protocols/(\w+)\.json(?:\s*\(([^)]*)\))?")
MARK = re.compile(r"#.*?\[([A-Z])\]")
# Keys of the published class-incremental configurations, and those of recipes.
KEYS = {
    "batch_size": "per_device_train_batch_size", "lr": "learning_rate", "ls": "label_smoothing_factor",
    "weight_decay": "weight_decay", "avg_freq": "methods.zscl.averaging_interval", "l2": "methods.zscl.l2_weight",
    "initial_increment": "class_incremental.base_classes", "prompt_template": "class_incremental.templates",
}  # fmt: skip


def legends(path: Path) -> dict[str, dict[str, list[Any]]]:
    """For each mark of a file, the recorded values of each dotted key; several sources may record one key."""
    comments = " ".join(line.lstrip("# ") for line in path.read_text().splitlines() if line.startswith("#"))
    found: dict[str, dict[str, list[Any]]] = {}
    for mark, name, configurations in LEGEND.findall(comments):
        facts = {key: [value] for key, value in protocol(name).get("settings", {}).items()}
        for configuration in filter(None, re.split(r"[,\s]+", configurations)):
            for key, value in protocol(name)["configs"][configuration].items():
                if key in KEYS and value is not None:
                    facts.setdefault(KEYS[key], []).append(float(value) if key == "lr" else value)
        if orders := protocol(name).get("orders"):
            facts["task_order"] = list(orders.values())
        found[mark] = facts
    return found


def marked(path: Path) -> list[tuple[str, str, Any]]:
    """Each marked value of a recipe: its mark, its dotted key, itself."""
    lines, found = path.read_text().splitlines(), []

    def walk(node: yaml.Node, key: str) -> None:
        if isinstance(node, yaml.MappingNode):
            names = {name.value: value for name, value in node.value}
            if key.startswith("tasks.") or key.startswith("evaluation_only."):
                key = f"{key.rsplit('.', 1)[0]}.{names['name'].value}" if "name" in names else key
            for name, value in node.value:
                if name.value == "<<":
                    continue
                place = f"{key}.{name.value}".lstrip(".")
                mark = MARK.search(lines[name.start_mark.line])
                if mark:
                    found.append((mark[1], place, yaml.safe_load(yaml.serialize(value))))
                else:
                    walk(value, place)
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                walk(value, f"{key}.{index}")

    walk(yaml.compose(path.read_text()), "")
    return found


def proved(facts: dict[str, list[Any]], key: str, value: Any) -> bool:
    """Whether a marked value is recorded, and nothing recorded differs from it."""
    if isinstance(value, str) and value.partition("/")[0] in protocol_names():
        kind = {"members": "members", "expect_results": "results"}.get(key.rpartition(".")[2], "datasets")
        recorded = facts.get(key, [])
        if value not in named(kind):
            return False
        if key == "class_incremental.templates":  # the published configurations have the prompt itself
            return all(each in (value, built_in(value).templates[0]) for each in recorded)
        return all(each == value for each in recorded)
    if key == "task_order":
        return value in facts.get(key, [])
    return bool(facts.get(key)) and all(each == value for each in facts[key])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT / "recipes")))
def test_every_marked_value_is_the_recorded_one(path):
    known, lines = legends(path), [line for line in path.read_text().splitlines() if not line.startswith("#")]
    values = marked(path)
    assert len(values) >= sum(bool(MARK.search(line)) for line in lines), "a mark without a value"
    for mark, key, value in values:
        assert mark in known, f"{path.name}: [{mark}] is not explained"
        assert proved(known[mark], key, value), f"{path.name}: {key}: {value!r} is not what [{mark}] records"


def test_an_unproved_mark_is_found(tmp_path):
    recipe = tmp_path / "wrong.yaml"
    recipe.write_text(
        "# [Z]: protocols/zscl_mtil.json\n"
        "methods:\n  zscl: {l2_weight: 2.0} # [Z]\n  lwf:\n    temperature: 3.0 # [Z]\n"
        "max_steps: 1000 # [Z]\nbf16: true # [Z]\ntasks:\n  - name: mnist\n    learning_rate: 1.0e-5 # ours, not [Z]\n"
        "    class_names: zscl_mtil/mnits # [Z]\n    templates: zscl_mtil/mnist # [Z]\n"
    )
    facts = legends(recipe)["Z"]
    right = {key: proved(facts, key, value) for _, key, value in marked(recipe)}
    assert right == {
        "methods.zscl": False, "methods.lwf.temperature": False, "max_steps": True, "bf16": False,
        "tasks.mnist.learning_rate": False, "tasks.mnist.class_names": False, "tasks.mnist.templates": True,
    }  # fmt: skip


# The facts of the package are those that were recorded


@pytest.fixture(scope="module")
def recorded(shared) -> dict[str, Any]:
    return json.loads((shared / "published" / "zscl_protocol.json").read_text())


def test_prompts_and_class_names_of_mtil(recorded):
    assert set(recorded["mtil"]) == set(protocol("zscl_mtil")["datasets"])
    for name, facts in recorded["mtil"].items():
        found = built_in(f"zscl_mtil/{name}")
        assert found.templates == facts["templates"] and found.training_template == facts["training_template"]
        if isinstance(facts["class_names"], list):
            assert found.class_names == facts["class_names"], name
    assert built_in("zscl_mtil/cifar100").class_names[1] == "aquarium fish"
    assert "apartment building/outdoor" in built_in("zscl_mtil/sun397").class_names
    assert "head of a  crocodile" in built_in("zscl_mtil/caltech101").class_names


def test_orders_names_and_prompts_of_class_incremental_streams(recorded):
    facts = recorded["class_incremental"]
    assert class_orders()["zscl_cil/cifar100"] == facts["cifar100"]["class_order"] == class_orders()["icarl"]
    assert class_orders()["zscl_cil/imagenet1000"] == facts["imagenet1000"]["class_order"]
    for name in ("tiny_imagenet", "imagenet100"):
        by_index = facts[name]["classes_by_published_index"]
        wanted = [by_index[index] for index in facts[name]["class_order"]]
        assert class_orders()[f"zscl_cil/{name}"] == [synset for synset, _ in wanted]
        found = built_in(f"zscl_cil/{name}")
        assert [found.also_called[synset] for synset, _ in wanted] == [word for _, word in wanted]
    hundred = [synset for synset, _ in facts["imagenet100"]["classes_by_published_index"]]
    assert hundred == list(imagenet_synsets())[:100]
    assert built_in("imagenet").class_names[:100] == built_in("zscl_cil/imagenet100").class_names
    assert sum("_" in name for name in built_in("zscl_cil/cifar100").class_names) == 9
    assert protocol("zscl_cil")["configs"] == facts["configs"] and len(facts["configs"]) >= 25


def test_members_of_the_video_streams(shared):
    recorded = json.loads((shared / "published" / "video_streams.json").read_text())
    for name, train, test in (("msrvtt", 320, 2990), ("activitynet", 3200, 4910)):
        assert named("members")[f"ctvr/{name}"] == recorded[name]
        assert [sum(map(len, recorded[name][split].values())) for split in ("train", "test")] == [train, test]


def test_published_tables(shared):
    """The rounded table of order I is that of the published matrices."""
    matrices = json.loads((shared / "published" / "mtil_order_1.json").read_text())["methods"]
    table = named("results")["zscl_mtil/order_1"]["methods"]
    for name, found in matrices.items():
        row = table["finetune" if name == "continual_finetune" else name]
        for key in ("transfer", "average", "last"):
            assert row[key] == pytest.approx(found[key], abs=0.0501), (name, key)


WHOLE = [path for path in FILES if "streams" not in path.parts]


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.stem)
def test_a_recipe_agrees_with_its_expected_results(path):
    """Fields of the recipe itself; those of its data are measured."""
    recipe = read_recipe(path)
    note = {"dataset": "", "classes": None, "train": None, "test": None, "members": "published"}
    members = [{"task": task.name, **note} for task in recipe.tasks if task.split == "published"]
    record = RunRecord(
        recipe.method, recipe.model_name_or_path, [task.name for task in recipe.tasks], recipe=recipe.to_dict(),
        datasets=members,
    )  # fmt: skip
    for found in compare_with_published(record):
        assert not found.differences, found.differences


def test_no_citation_names_a_table_or_an_equation():
    """Nobody compared them with the papers; the public code is what the recorded facts come from."""
    cited = re.compile(r"\b(?:eq\.|table|section|appendix) \d")
    files = [*ROOT.glob("hf_clcl/**/*.py"), *ROOT.glob("recipes/**/*.yaml"), ROOT / "docs" / "methods.md"]
    assert not [str(path) for path in files if cited.search(path.read_text(encoding="utf-8"))]
