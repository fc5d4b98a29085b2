"""Retrieval of a model on captions, and streams of tasks of captions from training to card."""

from __future__ import annotations

import io
import logging

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from datasets import concatenate_datasets
from rich.console import Console

from hf_clcl import RunRecord, Task, run_stream
from hf_clcl.data.images.frames import Frames, Normalizer
from hf_clcl.data.texts.captions import tokenize_captions
from hf_clcl.data.texts.tokens import tokenize
from hf_clcl.evaluation.retrieval import Pairs, RetrievalEvaluator
from hf_clcl.metrics.ranks import mean_recall
from hf_clcl.models.embedding import embed_images, embed_texts
from hf_clcl.models.loading import load_model, load_processor
from hf_clcl.reports.cards import write_card
from hf_clcl.reports.comparison import as_csv, as_markdown, group_runs
from hf_clcl.reports.terminal import print_results
from hf_clcl.utils.errors import RecipeError

TRAINING = {"max_steps": 3, "per_device_train_batch_size": 6, "learning_rate": 1e-3, "disable_tqdm": True}


def evaluator(task: Task, folder) -> RetrievalEvaluator:
    processor = load_processor(folder)
    frames = Frames(task.test, task.image_column, processor.image_processor)
    normalize = Normalizer(processor.image_processor)
    return RetrievalEvaluator({task.name: Pairs.of(task, frames)}, processor.tokenizer, normalize, Accelerator(), 4)


def test_retrieval_against_a_naive_reference(tiny_clip, pairs):
    task = Task("pairs", test=pairs(11), caption_column="captions")
    model, processor = load_model(tiny_clip), load_processor(tiny_clip)
    found = evaluator(task, tiny_clip)(model)["pairs"]
    with torch.no_grad():
        pixels = processor.image_processor(list(task.test["image"]), return_tensors="pt")["pixel_values"]
        images = embed_images(model, pixels)
        hits, ranks = [], []
        texts = [
            [embed_texts(model, tokenize(processor.tokenizer, [t]))[0] for t in row] for row in task.test["captions"]
        ]
        for i, image in enumerate(images):
            scores = sorted(((float(image @ t), owner) for owner, row in enumerate(texts) for t in row), reverse=True)
            hits.append(scores[0][1] == i)
            for text in texts[i]:
                order = sorted(range(len(images)), key=lambda k, text=text: -float(images[k] @ text))
                ranks.append(order.index(i) + 1)
    assert found["image_to_text_r1"] == pytest.approx(100 * np.mean(hits))
    assert found["text_to_image_mean_rank"] == pytest.approx(np.mean(ranks))
    assert found["text_to_image_median_rank"] == pytest.approx(np.median(ranks))


def test_rows_with_the_same_image_are_one_image(tiny_clip, pairs):
    grouped = pairs(6, seed=1)
    singles = [
        grouped.select([i]).remove_columns("captions") for i, row in enumerate(grouped["captions"]) for _ in row
    ]
    texts = [text for row in grouped["captions"] for text in row]
    flat = concatenate_datasets(singles).add_column("captions", texts)
    first = evaluator(Task("a", test=grouped, caption_column="captions"), tiny_clip)(load_model(tiny_clip))["a"]
    second = evaluator(Task("a", test=flat, caption_column="captions"), tiny_clip)(load_model(tiny_clip))["a"]
    assert len(flat) > len(grouped) and first == pytest.approx(second)


def test_lines_are_captions_and_blank_ones_are_none(pairs):
    texts = ["a red thing\n\n a blue thing ", "grey", "dark\n"]
    task = Task("a", test=pairs(3).remove_columns("captions").add_column("txt", texts), caption_column="txt")
    found, of_image = task.captions("test")
    assert found == ["a red thing", "a blue thing", "grey", "dark"]
    assert [rows.tolist() for rows in of_image] == [[0, 1], [2], [3]]


def test_long_captions_are_cut_and_counted(tiny_clip, caplog):
    tokenizer = load_processor(tiny_clip).tokenizer
    fitting = " ".join(["red"] * 22)  # with start and end exactly the model's 24 tokens
    texts = ["a red thing", " ".join(["red"] * 10_000), fitting, fitting + " red"]
    with caplog.at_level(logging.WARNING):
        assert tokenize_captions(tokenizer, texts, "task pairs").shape == (4, 24)
    expected = "task pairs: 2 of 4 captions are longer than the 24 tokens of the model and are truncated"
    assert [entry.getMessage() for entry in caplog.records] == [expected]


@pytest.fixture(scope="module")
def stream(tiny_clip, pairs, colours, tmp_path_factory):
    """Runs two tasks of captions; beside them captions and classes that are never trained on."""

    def run(method="finetune", folder=None, **values) -> tuple[RunRecord, object]:
        folder = folder or tmp_path_factory.mktemp(method)
        tasks = [
            Task(name, train=pairs(18, seed), test=pairs(9, seed + 1), caption_column="captions")
            for name, seed in (("first", 0), ("second", 7))
        ]
        beside = [Task("outside", test=pairs(8, 3), caption_column="captions"), Task("classes", test=colours(9))]
        record = run_stream(
            str(tiny_clip), tasks, method, evaluation_only=beside, output_dir=str(folder),
            reference_images=colours(12, seed=7), reference_texts=["a red thing", "a blue thing"],
            **{**TRAINING, **values},
        )  # fmt: skip
        return record, folder

    return run


@pytest.fixture(scope="module")
def finished(stream):
    return stream()


def test_a_stream_of_captions_fills_record_and_matrix(finished):
    record, folder = finished
    assert record == RunRecord.load(folder) and set(record.retrieval) == {"first", "second", "outside"}
    for j, row in enumerate([record.zero_shot, *record.accuracy]):
        for name, value in zip(record.tasks, row, strict=True):
            entry = record.retrieval[name]
            assert value == mean_recall(entry["after"][j - 1] if j else entry["zero_shot"])
    outside = record.evaluation_only["outside"]
    assert outside["accuracy"] == [mean_recall(found) for found in record.retrieval["outside"]["after"]]
    assert {"transfer", "average", "last", "forgetting", "unseen_accuracy"} <= record.metrics.keys()
    assert "updated_accuracy" not in record.metrics and record.measure == "R@1"
    note = record.datasets[0]
    assert (note["classes"], note["captions"], note["train"], note["test"]) == (None, 54, 18, 9)
    assert record.until("first").retrieval["first"]["after"] == record.retrieval["first"]["after"][:1]


def test_the_card_names_the_measure_and_shows_retrieval(finished):
    record, folder = finished
    card = (folder / "README.md").read_text()
    assert card == write_card(record)
    assert (
        "## Accuracy or R@1 after each task" in card
        and "For the captions of first, second and outside: the mean of" in card
    )
    assert "mean R@1 on tasks not yet trained" in card and "| 54 captions |" in card
    measures = record.retrieval["first"]["after"][1]
    cells = [f"{measures[f'image_to_text_{key}']:.1f}" for key in ("r1", "r5", "r10", "median_rank", "mean_rank")]
    assert f"| first | after 2 second | {' | '.join(cells)} |" in card
    assert "type: text_to_image_r10" in card and "type: image-text-retrieval" in card
    assert (folder / "matrix.png").exists() and "accuracy or R@1 in %" in (folder / "curves.svg").read_text()


@pytest.mark.parametrize("change", [{"image_to_text_r1": 101.0}, {"text_to_image_median_rank": 0.5}])
def test_a_record_that_cannot_be_true_is_refused(finished, change):
    values = finished[0].to_dict()
    values["retrieval"]["first"]["after"][0].update(change)
    with pytest.raises(ValueError, match=f"retrieval: first: {next(iter(change))}: must be a"):
        RunRecord.from_dict(values)
    values = finished[0].to_dict()
    values["retrieval"]["second"]["after"].pop()
    values["retrieval"]["third"] = {"zero_shot": None, "after": [{}, {}]}
    with pytest.raises(ValueError, match="second: 1 entries for 2 finished tasks; retrieval: third: must be a task"):
        RunRecord.from_dict(values)


def test_captions_without_a_test_split(tiny_clip, pairs, tmp_path, caplog):
    task = Task("pairs", train=pairs(12), caption_column="captions")
    record = run_stream(str(tiny_clip), [task], "finetune", output_dir=str(tmp_path / "a"), **TRAINING)
    assert record.accuracy == [[None]] and record.metrics == {} and not record.retrieval
    assert "pairs: has no test data: the task is trained" in caplog.text
    assert "matrix.png" not in (tmp_path / "a" / "README.md").read_text()
    with pytest.raises(RecipeError, match="pairs: has no test data"):
        run_stream(
            str(tiny_clip), [Task("other", train=pairs(12), caption_column="captions")], "finetune",
            evaluation_only=[task], output_dir=str(tmp_path / "b"),
        )  # fmt: skip


def test_runs_are_compared_by_recall_and_what_was_held_out(finished):
    record = finished[0]
    (row,) = group_runs([record])
    last = [entry["after"][-1]["text_to_image_r1"] for entry in record.retrieval.values()]
    assert row.mean("text_to_image_r1") == pytest.approx(np.mean(last))
    assert row.mean("unseen_accuracy") == record.evaluation_only["classes"]["accuracy"][-1]
    assert "| ZS-Acc | R@1 image to text | R@1 text to image |" in as_markdown([row])
    assert "UT-Acc" not in as_markdown([row]) and "image_to_text_r1_std" in as_csv([row])


def test_the_terminal_shows_retrieval_in_80_columns(finished):
    file = io.StringIO()
    print_results(finished[0], Console(file=file, width=80))
    lines = [line.split() for line in file.getvalue().splitlines()]
    measures = finished[0].retrieval["second"]["after"][-1]
    cells = [f"{measures[f'text_to_image_{key}']:.1f}" for key in ("r1", "r5", "r10", "median_rank", "mean_rank")]
    assert ["second", "after", "2", "second", *cells] in lines
    assert max(map(len, file.getvalue().splitlines())) <= 80


def test_update_metrics_by_hand():
    """Two updates, one class group held out, one more dataset beside them; captions are no classes."""
    record = RunRecord(
        "lwf", "me/clip", ["a", "b", "pairs"], [50.0, 40.0, 9.0],
        [[80.0, 45.0, 9.0], [70.0, 90.0, 8.0], [60.0, 84.0, 20.0]],
        evaluation_only={
            "rest": {"zero_shot": 55.0, "accuracy": [54.0, 52.0, 50.0]},
            "other": {"zero_shot": 60.0, "accuracy": [60.0, 58.0, 51.0]},
            "more": {"zero_shot": 3.0, "accuracy": [3.0, 3.0, 3.0]},
        },
        retrieval={name: {"zero_shot": None, "after": [{}, {}, {}]} for name in ("pairs", "more")},
    )  # fmt: skip
    assert record.metrics["updated_accuracy"] == (60 + 84) / 2
    assert record.metrics["unseen_accuracy"] == (50 + 51) / 2
    assert record.metrics["backward_transfer"] == (60 - 80 + 84 - 90) / 2
    assert record.measure == "accuracy or R@1"
    assert not {"updated_accuracy", "unseen_accuracy"} & record.until("b").metrics.keys()
    record.evaluation_only = {}
    assert "updated_accuracy" not in record.metrics
