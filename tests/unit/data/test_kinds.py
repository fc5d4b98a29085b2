"""Kinds of data as objects, and that nothing else in the package compares one."""

import ast
from pathlib import Path

import pytest
from datasets import Dataset, Features, Image, Value
from PIL import Image as PILImage

import hf_clcl
from hf_clcl import METHODS, ContinualTrainingArguments, Task
from hf_clcl.data import kinds
from hf_clcl.data.broken import leave_out_broken
from hf_clcl.data.images.frames import Frames
from hf_clcl.data.kinds import CAPTIONS, CLASSIFICATION, KINDS, VIDEOS, Captions, kind_of
from hf_clcl.evaluation.evaluator import SEARCHES
from hf_clcl.stream.checks import stream_problems
from hf_clcl.stream.description import dataset_note, new_video_database
from hf_clcl.stream.spec import StreamSpec

PACKAGE = Path(hf_clcl.__file__).parent
HOME = "data/kinds.py"


def compared(source: str) -> list[str]:
    """Comparisons of a `.kind` with a string, and of a name of a kind that is written out."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        values = [v for side in sides for v in (side.elts if isinstance(side, (ast.Tuple, ast.List)) else [side])]
        attributes = {value.attr for value in values if isinstance(value, ast.Attribute)}
        texts = {value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)}
        if ("kind" in attributes and texts) or ("name" in attributes and texts & {kind.name for kind in KINDS}):
            found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize(
    "source", ["t.kind == 'videos'", "t.kind in ('a', 'b')", "'videos' != t.kind", "t.kind.name == 'captions'"]
)
def test_what_counts_as_a_comparison(source):
    assert compared(source) and not compared("t.kind is other.kind") and not compared("kind == 'csv'")


def test_kinds_are_compared_in_their_home_alone():
    found = {
        f"{path.relative_to(PACKAGE).as_posix()}: {text}"
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).as_posix() != HOME
        for text in compared(path.read_text(encoding="utf-8"))
    }
    assert not found


def test_the_kind_follows_from_the_columns_that_are_named():
    assert kind_of({}) is kind_of({"caption_column": None}) is CLASSIFICATION
    assert kind_of({"caption_column": "text"}) is CAPTIONS
    assert kind_of({"caption_column": "text", "video_column": "file"}) is kind_of({"video_column": "f"}) is VIDEOS


def test_every_kind_is_whole():
    assert len({kind.name for kind in KINDS}) == len({kind.column for kind in KINDS}) == len(KINDS)
    assert [kind for kind in KINDS if kind.column is None] == [KINDS[-1]]
    assert set(SEARCHES) == {kind for kind in KINDS if not kind.has_labels}


def rows(column: str, texts: list[str]) -> Dataset:
    images = [PILImage.new("RGB", (8, 8), (30 * place, 0, 0)) for place in range(len(texts))]
    features = Features({"image": Image(), column: Value("string")})
    return Dataset.from_dict({"image": images, column: texts}, features=features)


def spec(method: str, *tasks: Task, **values: object) -> StreamSpec:
    return StreamSpec("m", list(tasks), METHODS[method](), ContinualTrainingArguments("out"), **values)


def test_a_task_without_test_data_is_allowed_for_captions_alone():
    captions = Task("said", train=rows("text", ["one", "two"]), caption_column="text")
    labels = Task("seen", train=rows("label", ["red", "blue"]))
    wrong = [stream_problems(spec("finetune", task)) for task in (captions, labels)]
    assert wrong == [[], ["seen: has no test data"]]
    beside = stream_problems(spec("finetune", labels, evaluation_only=[captions]))
    assert beside == ["seen: has no test data", "said: has no test data"]


def test_a_method_for_labels_and_a_joint_batch_ask_the_kind():
    captions = Task("said", train=rows("text", ["one", "two"]), caption_column="text")
    labels = Task("seen", train=rows("label", ["red", "blue"]))
    (problem,) = METHODS["icarl"]().stream_problems([captions, labels])
    assert problem.startswith("said: icarl needs class labels, got a task of captions;")
    assert METHODS["joint"]().stream_problems([labels, labels]) == []
    (mixed,) = METHODS["joint"]().stream_problems([captions, labels])
    assert mixed.startswith("said, seen: joint trains on")


class Alt(Captions):
    """An image with the alternative text of a page."""

    name, column, noun, needs_test = "alt", "licence", "pictures", True

    def find_columns(self, task):
        task.caption_column = "alt"
        super().find_columns(task)


def test_a_new_kind_needs_nothing_but_its_class(monkeypatch):
    """Columns, checks, frames, messages and notes of a task follow from the class of its kind."""
    alt = Alt()
    monkeypatch.setattr(kinds, "KINDS", (alt, *KINDS))
    train = rows("alt", ["a red square", "a blue square", "a square"])
    broken = train.cast_column("image", Image(decode=False)).map(
        lambda row, place: {"image": {"bytes": b"none" if place == 1 else row["image"]["bytes"], "path": None}},
        with_indices=True,
    )
    task = Task("web", train=broken.cast_column("image", Image()), licence="mit")
    assert task.kind is alt and task.caption_column == "alt" and task.image_column == "image"
    leave_out_broken(task)
    assert task.split_note == "1 of 3 training pictures cannot be read and are left out."
    note = dataset_note(task)
    assert (note["captions"], note["classes"], new_video_database([task])) == (2, None, None)
    method = METHODS["joint"]()
    assert stream_problems(spec("joint", task)) == ["web: has no test data"]
    other = Task("said", train=rows("text", ["one", "two"]), caption_column="text")
    assert "several kinds in one batch" in method.stream_problems([task, other])[0]


def test_frames_of_a_kind(tiny_clip):
    from transformers import AutoImageProcessor

    from hf_clcl.data.task_data import frames_of

    task = Task("seen", train=rows("label", ["red", "blue"]))
    frames = frames_of(task, "train", AutoImageProcessor.from_pretrained(tiny_clip))
    assert type(frames) is Frames and len(frames) == 2
