"""Incremental moment matching: merging the models of all tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Ge
from torch import Tensor
from transformers import PreTrainedModel

from .averaging import copy_parameters, load_parameters, with_prefix, without_prefix
from .base import TaskContext
from .fisher import diagonal_fisher
from .regularized import Regularized

LEAST_PRECISION = 1e-12  # a parameter that no task depends on is averaged plainly


@dataclass
class IMM(Regularized):
    """Merge the models of all tasks so far: by their mean, or at the mode of their posteriors.

    `mean`: `theta = sum_k theta_k / K`; `mode`: `theta = sum_k F_k theta_k / sum_k F_k` with the diagonal Fisher
    information `F_k` at the end of task k. The merged model is what is evaluated and saved; each task is learnt from
    the unmerged model of the task before (the paper's weight transfer), so that one is kept beside it. With
    `l2_weight` it is the paper's L2 transfer.

    Source: Lee et al., NeurIPS 2017, mean-IMM and mode-IMM, all tasks weighing the same.

    Args:
        merge (`str`, defaults to `"mean"`): `mean` or `mode`.
        fisher_samples (`int`, defaults to 1000): Images of each task that the Fisher information is taken over.
        kwargs: The options of [`Regularized`].
    """

    name: ClassVar[str] = "imm"
    remembers: ClassVar[bool] = True
    takes_adapters: ClassVar[bool] = False  # what it merges are whole models, and adapters are fresh for each task
    citation: ClassVar[str] = """@inproceedings{lee2017imm,
  title = {Overcoming Catastrophic Forgetting by Incremental Moment Matching},
  author = {Lee, Sang-Woo and Kim, Jin-Hwa and Jun, Jaehyun and Ha, Jung-Woo and Zhang, Byoung-Tak},
  booktitle = {NeurIPS},
  year = {2017}
}"""

    merge: Literal["mean", "mode"] = "mean"
    fisher_samples: Annotated[int, Ge(1)] = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        self.count = 0
        self.last: dict[str, Tensor] = {}
        self.precision: dict[str, Tensor] = {}

    def begin_task(self, model: PreTrainedModel, context: TaskContext) -> None:
        self._context = context
        self.precision = {name: value.to(model.device) for name, value in self.precision.items()}
        self.merged = copy_parameters(model)
        if self.last:
            load_parameters(model, {name: value.to(model.device) for name, value in self.last.items()})
        super().begin_task(model, context)

    def end_task(self, model: PreTrainedModel) -> PreTrainedModel:
        model = super().end_task(model)
        self.last = copy_parameters(model)
        self.count += 1
        merged, theta = list(self.merged.values()), list(self.last.values())
        if self.merge == "mean":
            torch._foreach_lerp_(merged, theta, 1 / self.count)
        else:
            precision = diagonal_fisher(model, self._context, self.fisher_samples)
            torch._foreach_add_(list(precision.values()), LEAST_PRECISION)
            before = self.precision or {name: torch.zeros_like(value) for name, value in precision.items()}
            self.precision = {name: before[name] + value for name, value in precision.items()}
            shares = torch._foreach_div(list(precision.values()), list(self.precision.values()))
            torch._foreach_lerp_(merged, theta, shares)
        load_parameters(model, self.merged)
        self.merged = {}
        return model

    def state_dict(self) -> dict[str, Tensor]:
        return {
            **super().state_dict(),
            "tasks": torch.tensor(self.count),
            **with_prefix("last", self.last),
            **with_prefix("precision", self.precision),
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        super().load_state_dict(state)
        self.count = int(state["tasks"])
        self.last, self.precision = without_prefix("last", state), without_prefix("precision", state)
