"""Parts of a run record: phases, losses, datasets, rows of accuracies."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict  # pydantic needs this one below Python 3.12


class Phase(TypedDict):
    """Time and memory of one phase of a run; `task` is `None` for a phase that belongs to no single task."""

    phase: str
    task: str | None
    seconds: float
    peak_memory_mb: float | None


class Loss(TypedDict):
    """The losses of one logged step. Named losses are further keys."""

    task: str
    step: int
    loss: float | None


class _DatasetCounts(TypedDict):
    task: str
    dataset: str
    classes: int | None
    train: int | None
    test: int | None


class DatasetNote(_DatasetCounts, total=False):
    """What the data of one task were; `train` is `None` for data that are only evaluated, `classes` for captions.

    `members` is the rule that chose the rows of train and test if there is no official split: `published` or `seeded`.
    """

    captions: int | None
    split_note: str | None
    members: str | None
    licence: str | None


class RecordedRecipe(TypedDict, total=False):
    """Recipe values that cards, tables and the app read from a record. They show other values unchanged."""

    model_name_or_path: str
    model_revision: str | None
    random_init: bool
    method: str
    methods: dict[str, dict[str, Any]]
    tasks: list[dict[str, Any]]
    evaluation_only: list[dict[str, Any]]
    reference_images: dict[str, Any] | None
    reference_texts: dict[str, Any] | None
    peft: dict[str, Any] | None
    data_root: str | None
    licence: str | None
    output_dir: str
    hub_model_id: str | None
    hub_strategy: str


class EvaluationOnly(TypedDict):
    """Accuracy on a dataset that is never trained on: of the untrained model, then after each finished task."""

    zero_shot: float | None
    accuracy: list[float | None]


class Retrieval(TypedDict):
    """Retrieval within a dataset of captions: of the untrained model, then after each finished task.

    Keys are a direction and a measure, such as `image_to_text_r1` (in percent) and `text_to_image_median_rank`. For
    videos, `text_to_video` searches those of the dataset, `text_to_database` those of all tasks trained so far.
    """

    zero_shot: dict[str, float] | None
    after: list[dict[str, float]]


Row = list[float | None]


class _ScenarioRows(TypedDict):
    zero_shot: Row | None
    accuracy: list[Row]


class ScenarioRows(_ScenarioRows, total=False):
    """The matrix of a further scenario, with the same keys as the record has for the main scenario."""

    baseline: list[Row] | None
