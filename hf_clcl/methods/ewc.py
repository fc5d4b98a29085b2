"""Elastic weight consolidation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..config.validation import between
from ..distributed.tensors import full_tensor
from .averaging import with_prefix, without_prefix
from .base import Embeddings, TaskContext
from .fisher import diagonal_fisher
from .penalties import squared_distance
from .regularized import Regularized


@dataclass
class EWC(Regularized):
    """Hold each parameter where the last task left it, the tighter the more earlier tasks depend on it.

    `ewc_weight / 2 * sum_p F_p (theta_p - theta_start_p)^2`, where `F = fisher_decay * F + F_task` adds up the
    diagonal Fisher information of the tasks so far, each taken at the task's end. The first task is plain fine-tuning.

    Source: Kirkpatrick et al., PNAS 2017, with one running penalty as in online EWC (Schwarz et al., ICML
    2018). The weight is not from the papers, whose models were smaller; tune it.

    Args:
        ewc_weight (`float`, defaults to 1000.0): Weight of the penalty.
        fisher_samples (`int`, defaults to 1000): Images of each task that the Fisher information is taken over.
        fisher_decay (`float`, defaults to 1.0): What remains of earlier tasks' Fisher information at each task.
        kwargs: The options of [`Regularized`].
    """

    name: ClassVar[str] = "ewc"
    remembers: ClassVar[bool] = True
    citation: ClassVar[str] = """@article{kirkpatrick2017ewc,
  title = {Overcoming Catastrophic Forgetting in Neural Networks},
  author = {Kirkpatrick, James and Pascanu, Razvan and Rabinowitz, Neil and Veness, Joel and others},
  journal = {Proceedings of the National Academy of Sciences},
  year = {2017}
}"""

    ewc_weight: float = 1000.0
    fisher_samples: Annotated[int, Ge(1)] = 1000
    fisher_decay: Annotated[float, between(0, 1)] = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.fisher: dict[str, Tensor] = {}

    @property
    def needs_anchor(self) -> bool:
        return super().needs_anchor or bool(self.fisher)

    def begin_task(self, model: PreTrainedModel, context: TaskContext) -> None:
        self._context = context
        self.fisher = {name: value.to(model.device) for name, value in self.fisher.items()}
        super().begin_task(model, context)

    def terms(self, model: nn.Module, embeddings: Embeddings, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        terms = super().terms(model, embeddings, batch)
        if self.fisher:
            terms["ewc_loss"] = self.ewc_weight / 2 * squared_distance(model, self.anchor, self.fisher)
        return terms

    def end_task(self, model: PreTrainedModel) -> PreTrainedModel:
        model = super().end_task(model)
        fisher = diagonal_fisher(model, self._context, self.fisher_samples)
        if self.fisher:
            earlier = [full_tensor(self.fisher[name]) for name in fisher]
            torch._foreach_add_(list(fisher.values()), earlier, alpha=self.fisher_decay)
        self.fisher = fisher
        return model

    def state_dict(self) -> dict[str, Tensor]:
        return {**super().state_dict(), **with_prefix("fisher", self.fisher)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        super().load_state_dict(state)
        self.fisher = without_prefix("fisher", state)
