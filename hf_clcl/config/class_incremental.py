"""One dataset cut into steps of classes: the `class_incremental` block of a recipe."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from .entries import TaskEntry, repeated
from .protocols import class_orders


@dataclass
class ClassIncremental(TaskEntry):
    """A dataset whose classes, or categories of videos, arrive in steps; each step is a task of the stream.

    With `base_classes`, these come first, as a task of their own, and `steps` tasks of equal size follow.

    Source: the protocol of iCaRL (Rebuffi et al., CVPR 2017); `base_classes` as for TinyImageNet in ZSCL (Zheng et
    al., ICCV 2023).

    Args:
        number_of_classes (`int`):
            Classes of the dataset, checked against the data. Classes of the order if a published `class_order` has
            only some of the dataset's classes; `expect` then gives the classes of the dataset.
        steps (`int`): Tasks that the classes, without `base_classes`, are cut into.
        base_classes (`int`, defaults to 0): Classes of a task before the steps.
        class_order (`list[int]` or `str`, *optional*):
            All labels, in the order in which they are learned; or the name of a published order: `icarl` (see
            `hf_clcl/assets/class_orders.json`), or that of a protocol such as `zscl_cil/tiny_imagenet` (see
            [`~hf_clcl.config.protocols`]).
        class_seed (`int`, *optional*):
            Seed that draws the order: `numpy.random.RandomState(class_seed).permutation(number_of_classes)`, which is
            what `numpy.random.seed` and `numpy.random.permutation` give in many published codes. In the order of the
            labels where neither is given.
        name (`str`, defaults to `"step"`): What the tasks are called, before their number.
        expect (`dict[str, int]`, *optional*): Numbers of the whole dataset: `classes`, `train`, `test`.
        kwargs: The other keys of [`TaskEntry`], for all steps; not `classes` and `drop_classes`.
    """

    name: str = "step"
    number_of_classes: int = dataclasses.field(default=0, metadata={"required": True})
    steps: int = dataclasses.field(default=0, metadata={"required": True})
    base_classes: int = 0
    class_order: list[int] | str | None = None
    class_seed: int | None = None

    def problems(self) -> list[str]:
        """What is wrong with the values, a line each."""
        found = super().problems()
        without = ["classes", "drop_classes", "expect_dataset", *(["caption_column"] if not self.video_column else [])]
        if not self.has_classes and self.video_column:
            found.append(
                "label_column: is missing; name the column of the videos' categories, or give a label_file or members"
            )
        for key in without:
            if getattr(self, key) is not None:
                found.append(f"{key}: is not for a dataset that is cut into steps of classes; leave it out")
        if self.steps < 1 or not 0 <= self.base_classes < max(self.number_of_classes, 1):
            return [
                *found,
                f"needs at least one step, and base_classes below number_of_classes; found steps {self.steps}, "
                f"base_classes {self.base_classes}, number_of_classes {self.number_of_classes}",
            ]
        left = self.number_of_classes - self.base_classes
        if left % self.steps:
            fitting = ", ".join(str(n) for n in range(1, left + 1) if left % n == 0)
            found.append(f"steps: {left} classes cannot be cut into {self.steps} equal steps, but into {fitting}")
        if self.class_order is not None and self.class_seed is not None:
            found.append("class_order and class_seed: choose one of the two")
        if self.class_seed is not None and not 0 <= self.class_seed < 2**32:
            found.append(f"class_seed: must lie between 0 and 2**32 - 1, found {self.class_seed}")
        if self.class_order is not None:
            found += self._order_problems()
        expected = (self.expect or {}).get("classes", self.number_of_classes)
        if expected != self.number_of_classes and not (self._by_name and expected > self.number_of_classes):
            found.append(f"expect: classes is {expected}, but number_of_classes {self.number_of_classes}")
        return found

    @property
    def _by_name(self) -> bool:
        """Whether the order names classes, and may leave classes of the dataset out."""
        order = class_orders().get(self.class_order, []) if isinstance(self.class_order, str) else []
        return any(isinstance(name, str) for name in order)

    def _order_problems(self) -> list[str]:
        if isinstance(self.class_order, str) and self.class_order not in class_orders():
            return [
                f"class_order: needs all labels in a list, or one of {', '.join(class_orders())}; found "
                f"{self.class_order!r}"
            ]
        if self._by_name:
            count = len(self.order())
            if count == self.number_of_classes:
                return []
            return [
                f"class_order: {self.class_order} has {count} classes, but number_of_classes {self.number_of_classes}"
            ]
        order: list[Any] = [*self.order()]
        wanted = set(range(self.number_of_classes))
        faults = {
            "missing": sorted(wanted - set(order)),
            "no labels of this dataset": sorted(set(order) - wanted),
            "listed twice": sorted(repeated(order)),
        }
        shown = [
            f"{what} {', '.join(map(str, labels[:5]))}{', ...' if len(labels) > 5 else ''}"
            for what, labels in faults.items()
            if labels
        ]
        if not shown:
            return []
        return [
            f"class_order: is no permutation of the {self.number_of_classes} labels 0 to "
            f"{self.number_of_classes - 1}: {'; '.join(shown)}"
        ]

    def order(self) -> list[int] | list[str]:
        """All classes in the order in which they are learned: labels, or names that `class_names` knows."""
        if isinstance(self.class_order, str):
            return class_orders()[self.class_order]
        if self.class_order is not None:
            return list(self.class_order)
        if self.class_seed is None:
            return list(range(self.number_of_classes))
        return np.random.RandomState(self.class_seed).permutation(self.number_of_classes).tolist()

    def tasks(self) -> list[TaskEntry]:
        """The stream: `step-01`, `step-02` and so on, each with its `classes`."""
        size = (self.number_of_classes - self.base_classes) // self.steps
        ends = [self.base_classes + size * step for step in range(self.steps + 1)]
        cuts = [0, *ends] if self.base_classes else ends
        order, digits = self.order(), max(2, len(str(len(cuts) - 1)))
        shared = {f.name: getattr(self, f.name) for f in dataclasses.fields(TaskEntry)}
        whole = {"classes": self.number_of_classes, **(self.expect or {})}
        return [
            TaskEntry(**copy.deepcopy({
                **shared, "name": f"{self.name}-{step:0{digits}d}", "classes": order[start:end], "expect": None,
                "expect_dataset": whole,
            }))
            for step, (start, end) in enumerate(zip(cuts, cuts[1:], strict=False), start=1)
        ]  # fmt: skip
