"""Types shared by the evaluators of a stream: their context, and the signature of a search."""

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
    """Values that all evaluators of a stream need.

    Args:
        stream (`Sequence[str]`): Names of all tasks of the stream, in order.
        frames (`Callable[[Task], Frames]`): The test images of a task as frames of the model's size.
        folder_of (`Callable[[str], Path]`): Folder of a finished task.
        writes (`bool`): Whether this process writes files; exactly one process does.
        tokenizer (`PreTrainedTokenizerBase`): Tokenizer of the model.
        normalize (`Callable[[Tensor], Tensor]`): Converts frames to pixel values.
        accelerator (`Accelerator`): Device, precision and processes, which share the work.
        batch_size (`int`): Images per forward pass.
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
