"""Model cards: a whole one against a golden file, and what must never stand in one.

After a wanted change: `HF_CLCL_UPDATE_GOLDEN=1 python -m pytest tests/test_cards.py`, and read the difference.
"""

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from hf_clcl.cli.card import main
from hf_clcl.record.run_record import RunRecord
from hf_clcl.reports.cards import save_card, write_card
from hf_clcl.reports.cards.markdown import block, code, text
from hf_clcl.reports.cards.sections import looks_like_hub_id

GOLDEN = Path(__file__).parent / "golden"


def example(**values: Any) -> RunRecord:
    """A finished stream of three tasks with something in every section."""
    record = RunRecord(
        method="zscl",
        model="openai/clip-vit-base-patch16",
        tasks=["pets", "cars_196", "digits"],
        zero_shot=[89.0, 64.7, 59.4],
        accuracy=[[95.3, 58.9, 57.0], [94.5, 85.8, 60.1], [93.9, 85.3, 98.7]],
        evaluation_only={"cifar10": {"zero_shot": 90.8, "accuracy": [90.1, 89.9, 88.0]}},
        recipe={
            "model_name_or_path": "openai/clip-vit-base-patch16",
            "methods": {"zscl": {"l2_weight": 1.0}, "lwf": {"weight": 2.0}},
            "tasks": [
                {"name": "pets", "dataset": "timm/oxford-iiit-pet"},
                {"name": "cars_196", "dataset": "tanganke/stanford_cars", "learning_rate": 2e-5},
                {"name": "digits", "dataset": "rendered:digits"},
            ],
            "reference_images": {"dataset": "timm/mini-imagenet", "take": 100000},
            "learning_rate": 1e-5,
            "max_steps": 1000,
            "output_dir": "outputs/zscl",
            "hub_token": "hf_secret",
        },
        versions={"python": "3.11.7", "hf-clcl": "0.1.0", "torch": "2.6.0"},
        seed=42,
        device="NVIDIA H100",
        trainable_parameters=149_620_736,
        total_parameters=149_620_737,
        phases=[
            {"phase": "evaluation", "task": None, "seconds": 60.0, "peak_memory_mb": 2000.0},
            {"phase": "training", "task": "pets", "seconds": 600.0, "peak_memory_mb": 20000.0},
            {"phase": "training", "task": "cars_196", "seconds": 610.5, "peak_memory_mb": 21000.0},
            {"phase": "training", "task": "digits", "seconds": 605.0, "peak_memory_mb": None},
        ],
        datasets=[
            {"task": "pets", "dataset": "timm/oxford-iiit-pet", "classes": 37, "train": 3680, "test": 3669,
             "split_note": None, "licence": "cc-by-sa-4.0"},
            {"task": "cars_196", "dataset": "tanganke/stanford_cars", "classes": 196, "train": 8144, "test": 8041,
             "split_note": "the official split", "licence": None},
            {"task": "digits", "dataset": "rendered:digits", "classes": 10, "train": 500, "test": 200},
            {"task": "cifar10", "dataset": "uoft-cs/cifar10", "classes": 10, "train": None, "test": 10000,
             "split_note": "", "licence": "mit"},
        ],
        created="2026-01-02T03:04:05+00:00",
        finished=True,
        command="python -m hf_clcl.train recipes/mtil.yaml --hub_token hf_secret --seed 42",
        citations=["@inproceedings{zheng2023preventing,\n  title = {Preventing Zero-Shot Transfer Degradation},\n}"],
        licence="apache-2.0",
    )  # fmt: skip
    for key, value in values.items():
        setattr(record, key, value)
    return record


def front_matter(card: str) -> dict[str, Any]:
    return yaml.safe_load(card.split("---\n")[1])


@pytest.mark.parametrize(("name", "task"), [("card.md", None), ("card-task-1.md", "pets")])
def test_golden(name: str, task: str | None) -> None:
    card = write_card(example(), task)
    if os.environ.get("HF_CLCL_UPDATE_GOLDEN"):
        (GOLDEN / name).write_text(card, encoding="utf-8")
    assert card == (GOLDEN / name).read_text(encoding="utf-8")


def test_front_matter_is_what_the_hub_reads() -> None:
    card = write_card(example())
    data = front_matter(card)
    assert data["library_name"] == "transformers" and data["pipeline_tag"] == "zero-shot-image-classification"
    assert data["base_model"] == "openai/clip-vit-base-patch16" and data["license"] == "apache-2.0"
    assert data["datasets"] == ["timm/oxford-iiit-pet", "tanganke/stanford_cars"]
    assert {"continual-learning", "zscl"} <= set(data["tags"])
    results = {
        (result.dataset_name, result.metric_type): result.metric_value for result in ModelCard(card).data.eval_results
    }
    assert results["pets", "accuracy"] == 93.9 and results["cifar10", "accuracy"] == 88.0
    stream = "stream of 3 tasks: pets, cars_196, digits"
    assert {key: results[stream, key] for key in ("transfer", "average", "last", "forgetting")} == {
        "transfer": 58.72, "average": 81.06, "last": 92.63, "forgetting": 0.95,
    }  # fmt: skip


def test_the_words_tell_the_changes() -> None:
    card = write_card(example())
    assert "Training digits took it from 60.1 % to 98.7 % (+38.6)." in card
    assert "after cars\\_196" not in card  # an underscore within a word is no markup
    assert "after cars_196, training digits **lost** on pets (-0.6) and cars_196 (-0.5)." in card
    assert (
        "Against zero-shot, the stream so far **gained** on digits (+39.3), cars_196 (+20.6) and pets (+4.9)." in card
    )
    assert "never trained on, went from 90.8 % to 88.0 % (-2.8)." in card


def test_a_card_of_one_task_knows_nothing_of_later_ones() -> None:
    card = write_card(example(), "pets")
    assert "The state after task 1 of 3, pets." in card and "task-01-pets" in card
    assert "98.7" not in card and "600.0" in card and "605.0" not in card
    assert "transfer" not in {m["type"] for r in front_matter(card)["model-index"][0]["results"] for m in r["metrics"]}
    with pytest.raises(ValueError, match="finished are: pets, cars_196, digits"):
        write_card(example(), "birds")


def test_an_unfinished_stream_says_so() -> None:
    record = example().until("cars_196")
    card = write_card(record)
    assert "**Unfinished**: 2 of 3 tasks are trained." in card and "| Last |" not in card
    assert "Unfinished" not in write_card(example())


def test_nothing_unmeasured_is_printed() -> None:
    card = write_card(RunRecord("finetune", "outputs/tiny", ["a", "b"]))
    for word in (
        "Hardware",
        "seconds",
        "None",
        "nan",
        "## Cost",
        "## Data",
        "## Gained",
        "with seed",
        "Measured on",
        "matrix.png",
    ):
        assert word not in card, word
    assert not {"base_model", "license", "datasets", "model-index"} & front_matter(card).keys()
    partly = write_card(RunRecord("finetune", "m", ["a", "b"], None, [[50.0, None], [None, 60.0]]))
    assert "| 1 a | **50.0** | – |" in partly and "None" not in partly and "took it from" not in partly


def test_secrets_stay_out() -> None:
    card = write_card(example())
    assert "hf_secret" not in card and "--hub_token *** --seed 42" in card and "hub_token:" not in card


def test_hyper_parameters_are_those_of_the_method_in_use() -> None:
    card = write_card(example())
    for row in (
        "`learning_rate` | `1e-05`",
        "`methods.zscl.l2_weight` | `1`",
        "`cars_196: learning_rate` | `2e-05`",
    ):
        assert f"| {row} |" in card
    table = card.split("Values set by the recipe")[1].split("##")[0]
    assert "lwf" not in table and "output_dir" not in table and "dataset" not in table


def test_names_stay_text() -> None:
    bad = ["<img src=x onerror=alert(1)>", "a|b", "[x](http://y)", "*b*_c_ `d`", "$e$ &lt; \\ f", "---\n# g"]
    note = {
        "task": bad[0],
        "dataset": "a|`b`",
        "classes": 1,
        "train": 1,
        "test": 1,
        "split_note": bad[2],
        "licence": bad[3],
    }
    rows = [[50.0] * 6] * 6
    card = write_card(
        RunRecord("m|`x`", "m", bad, [1.0] * 6, rows, datasets=[note], command="```\n# h", recipe={"a|b": "|"})
    )
    assert front_matter(card)["model-index"][0]["results"][0]["dataset"]["name"] == bad[0]
    body = (
        card.split("\n---\n", 1)[1]
        .replace("<details><summary>The recipe as resolved</summary>", "")
        .replace("</details>", "")
    )
    parser = MarkdownIt("commonmark").enable("table")
    tokens = parser.parse(body)
    inline = [child for token in tokens if token.type == "inline" for child in token.children]
    assert not [t for t in [*tokens, *inline] if t.type in ("html_block", "html_inline", "hr")]
    assert {t.attrs["href"] for t in inline if t.type == "link_open"} == set()
    assert [t.content for t in tokens if t.type == "inline" and t.level == 1 and "g" == t.content] == []
    columns = [len(re.findall("<t[hd]", row)) for row in parser.render(body).split("<tr>")[1:8]]
    assert columns == [7] * 7


@pytest.mark.parametrize(
    ("given", "expected"),
    [("a_b", "a_b"), ("_a_", r"\_a\_"), ("a|b", r"a\|b"), ("<b>&", "&lt;b&gt;&amp;"), ("a\n# b", "a # b")],
)
def test_text(given: str, expected: str) -> None:
    assert text(given) == expected


def test_code_and_blocks_hold_their_fences() -> None:
    assert code("a`b") == "`` a`b ``" and code("") == "" and code("a|b") == "`a\\|b`"
    assert block("```\nx\n```").startswith("````\n")


@pytest.mark.parametrize(
    ("name", "hub"),
    [("openai/clip-vit-base-patch16", True), ("mnist", False), ("../x/y", False), ("/tmp/x", False), ("a/b/c", False),
     ("models/clip", False), ("rendered:digits", False), ("me/x.parquet", False), ("./x", False), ("a b/c", False)],
)  # fmt: skip
def test_hub_ids(name: str, hub: bool) -> None:
    assert looks_like_hub_id(name) is hub


def test_usage_names_the_revision_of_a_pushed_stream() -> None:
    card = write_card(example(recipe={"hub_model_id": "me/clip-mtil"}))
    assert 'model="me/clip-mtil", revision="task-03-digits"' in card and "# clip-mtil\n" in card
    assert 'model="outputs/zscl/task-03-digits"' in write_card(example())
    assert 'model="task-03-digits"' in write_card(example(recipe={"output_dir": "/home/me/out"}))
    usage = write_card(example(method="zero_shot", trainable_parameters=0))
    assert 'model="openai/clip-vit-base-patch16"' in usage and "adapter" not in usage
    python = re.search(r"```python\n(.*?)```", card, re.DOTALL)
    assert python and compile(python[1], "card", "exec")


def test_cards_of_a_folder_are_written_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "one"
    example().save(run / "results.json")
    assert main([str(tmp_path)]) == 0 and "README.md" in capsys.readouterr().out
    assert {p.name for p in run.iterdir()} == {
        "results.json", "README.md", "matrix.png", "matrix.svg", "curves.png", "curves.svg",
    }  # fmt: skip
    assert (run / "README.md").read_text() == write_card(example())
    (run / "README.md").write_text("edited")
    shutil.copytree(run, tmp_path / "broken")
    (tmp_path / "broken" / "results.json").write_text("{")
    assert main([str(tmp_path)]) == 2 and "broken" in capsys.readouterr().err
    assert (run / "README.md").read_text() == "edited"  # nothing is written where a record is broken
    assert main([str(tmp_path / "nowhere")]) == 2 and "has no results.json" in capsys.readouterr().err


def test_a_card_of_a_task_with_its_plots(tmp_path: Path) -> None:
    paths = save_card(example(), tmp_path / "task-01-pets", task="pets")
    assert len(paths) == 5 and all(path.stat().st_size > 500 for path in paths)
    assert "The state after task 1 of 3" in paths[0].read_text()
