"""Joint training on all tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from .base import Method

if TYPE_CHECKING:
    from ..data.task import Task


@dataclass
class Joint(Method):
    """One training on the images of all tasks together (an upper bound for training on a stream).

    Each image is classified among the classes of its own task, as in a stream. A batch of captions has captions of all
    tasks. The number of steps is the sum over all tasks, with the training values of the stream; values that a task
    sets for itself only change its number of steps. All rows of the matrix are those of one model. Read only the last
    row: the matrix shows neither transfer nor forgetting.
    """

    name: ClassVar[str] = "joint"
    trains_jointly: ClassVar[bool] = True

    def stream_problems(self, tasks: Sequence[Task]) -> list[str]:
        shapes = {task.kind.batch_shape(task): task.name for task in tasks}
        if len(shapes) == 1:
            return super().stream_problems(tasks)
        return [
            f"{', '.join(shapes.values())}: {self.name} trains on tasks of classes, of captions, or of videos with "
            "the same number of frames, but not on several kinds in one batch; choose another method"
        ]
