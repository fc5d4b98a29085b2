"""What the evaluators of a stream share, and what each search of test data returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from accelerate import Accelerator
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..data.images.frames import Frames
from ..data.task import Task


@dataclass(frozen=True)
class EvaluationContext:
    """What the evaluators of a stream share.

    Args:
        stream (`Sequence[str]`): Names of all tasks of the stream, in order.
        frames (`Callable[[Task], Frames]`): The test images of a task as frames of the model's size.
        folder_of (`Callable[[str], Path]`): Folder of a finished task.
        writes (`bool`): Whether this process writes files; one of several does.
        tokenizer (`PreTrainedTokenizerBase`): Tokenizer of the model.
        normalize (`Callable[[Tensor], Tensor]`): Frames to pixel values.
        accelerator (`Accelerator`): Device, precision and processes; these share the embedding.
        batch_size (`int`): Images a forward.
    """

    stream: Sequence[str]
    frames: Callable[[Task], Frames]
    folder_of: Callable[[str], Path]
    writes: bool
    tokenizer: PreTrainedTokenizerBase
    normalize: Callable[[Tensor], Tensor]
    accelerator: Accelerator
    batch_size: int


class Search(Protocol):
    """A search of the test data of all tasks of one kind.

    Its arguments are the model, the task that it was trained on last (`None` for the untrained model), the title of
    the progress bar, and whether to show the bar. It returns measures by dataset, and, for a kind that keeps a
    database, the measures over all queries of the tasks in the database.
    """

    def __call__(
        self, model: PreTrainedModel, after: str | None, description: str, show: bool
    ) -> tuple[dict[str, dict[str, float]], dict[str, float] | None]: ...
