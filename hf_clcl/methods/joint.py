"""One training on all tasks together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from .base import Method

if TYPE_CHECKING:
    from ..data.task import Task


@dataclass
class Joint(Method):
    """One training on the images of all tasks together (an upper bound for what a stream can leave behind).

    Each image is classified among the classes of its own task, as in a stream; a batch of captions is one of all
    tasks. The training takes as many steps as all
    tasks together would, with the training values of the stream; those that a task sets for itself only count its
    steps. Every row of the matrix is that of the one model, so read its last row alone: nothing in it is transfer or
    forgetting.
    """

    name: ClassVar[str] = "joint"
    trains_jointly: ClassVar[bool] = True

    def stream_problems(self, tasks: Sequence[Task]) -> list[str]:
        shapes = {task.kind.batch_shape(task): task.name for task in tasks}
        if len(shapes) == 1:
            return super().stream_problems(tasks)
        return [
            f"{', '.join(shapes.values())}: {self.name} learns tasks of classes, of captions, or of videos with "
            "equally many frames, but not several kinds in one batch; choose another method"
        ]
