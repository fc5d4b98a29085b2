"""Fine-tuning held near its start: by an L2 penalty, by averaging weights along the task, or by both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from transformers import CLIPModel, TrainerCallback

from .. import losses
from ..averaging import WeightAveraging, copy_parameters, trainable_parameters
from .base import Embeddings, Method, TaskContext

ZSCL_CITATION = """@inproceedings{zheng2023zscl,
  title = {Preventing Zero-Shot Transfer Degradation in Continual Learning of Vision-Language Models},
  author = {Zheng, Zangwei and Ma, Mingyuan and Wang, Kai and Qin, Ziheng and Yue, Xiangyu and You, Yang},
  booktitle = {ICCV},
  year = {2023}
}"""


@dataclass
class Regularized(Method):
    """Fine-tuning with weight consolidation and weight ensemble; both are off by default.

    Source: WC and WE of ZSCL (Zheng et al., ICCV 2023, section 4.2).

    Args:
        l2_weight (`float`, defaults to 0.0):
            Weight of the squared distance to the parameters at the start of this task.
        averaging_interval (`int`, defaults to 0):
            Average the weights along the task every so many steps; 0 for never.
    """

    name: ClassVar[str] = "regularized"
    citation: ClassVar[str] = ZSCL_CITATION

    l2_weight: float = 0.0
    averaging_interval: int = 0

    def __post_init__(self) -> None:
        self.anchor: list[Tensor] = []
        self.averaging = WeightAveraging(self.averaging_interval) if self.averaging_interval else None

    def problems(self) -> list[str]:
        found = super().problems()
        if self.l2_weight < 0:
            found.append(f"l2_weight: must not be negative, found {self.l2_weight}")
        if self.averaging_interval < 0:
            found.append(f"averaging_interval: must be 0 (never) or more, found {self.averaging_interval}")
        return found

    def begin_task(self, model: CLIPModel, context: TaskContext) -> None:
        super().begin_task(model, context)
        self.anchor = list(copy_parameters(model).values()) if self.l2_weight else []
        if self.averaging:
            self.averaging.start(model)

    def terms(self, model: nn.Module, embeddings: Embeddings, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        terms = super().terms(model, embeddings, batch)
        if self.l2_weight:
            distance = losses.squared_distance(list(trainable_parameters(model).values()), self.anchor)
            terms["l2_loss"] = self.l2_weight * distance
        return terms

    def callbacks(self) -> list[TrainerCallback]:
        return [self.averaging] if self.averaging else []

    def end_task(self, model: CLIPModel) -> CLIPModel:
        self.anchor = []
        if self.averaging:
            self.averaging.finish(model)
        return super().end_task(model)

    def state_dict(self) -> dict[str, Tensor]:
        return self.averaging.state_dict() if self.averaging else {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        if self.averaging:
            self.averaging.load_state_dict(state)


@dataclass
class L2(Regularized):
    """Fine-tuning with an L2 penalty on the distance to the weights at the start of each task.

    Source: the "WC" row of ZSCL (Zheng et al., ICCV 2023, table 5).
    """

    name: ClassVar[str] = "l2"
    l2_weight: float = 1.0


@dataclass
class WeightEnsemble(Regularized):
    """Fine-tuning whose weights are averaged along each task.

    Source: WE of ZSCL (Zheng et al., ICCV 2023, eq. 6).
    """

    name: ClassVar[str] = "weight_ensemble"
    averaging_interval: int = 100
