"""Fine-tuning held near its start: by an L2 penalty, by averaged weights, by a merge with the start, or all."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn
from transformers import PreTrainedModel, TrainerCallback

from ..distributed.tensors import full_tensor
from .averaging import WeightAveraging, copy_parameters, interpolate, load_parameters
from .base import Embeddings, Method, TaskContext, option_names
from .penalties import squared_distance

logger = logging.getLogger(__name__)

SNAPSHOTS = 10  # of a task where no interval is given: ZSCL takes one every 100 of 1000 steps

ZSCL_CITATION = """@inproceedings{zheng2023zscl,
  title = {Preventing Zero-Shot Transfer Degradation in Continual Learning of Vision-Language Models},
  author = {Zheng, Zangwei and Ma, Mingyuan and Wang, Kai and Qin, Ziheng and Yue, Xiangyu and You, Yang},
  booktitle = {ICCV},
  year = {2023}
}"""


@dataclass
class Regularized(Method):
    """Fine-tuning with weight consolidation, averaged weights and a merge with the task's start; all off by default.

    With `theta` the parameters that learn and `theta_0` those at the start of the task: the loss grows by
    `l2_weight * sum((theta - theta_0)^2)`; along the task the weights are averaged as [`WeightAveraging`] says; after
    it, `theta = wise_alpha * theta + (1 - wise_alpha) * theta_0`.

    Source: WC and WE of ZSCL (Zheng et al., ICCV 2023); WiSE-FT (Wortsman et al., CVPR 2022).

    Args:
        l2_weight (`float`, defaults to 0.0):
            Weight of the squared distance to the parameters at the start of this task.
        averaging_interval (`int`, *optional*, defaults to 0):
            Steps between two snapshots of the weights, which are averaged; 0 for no averaging. `None` is a tenth of
            the steps of the task (100 of 1000, the published interval). An interval that is too long for a task is
            replaced by that, with a warning.
        averaging_last (`bool`, *optional*):
            Whether the weights at the end of the task are a snapshot too. Where not given, they are if the interval is
            a tenth of the task, and a given interval takes its multiples alone, as the published code does.
        averaging (`str`, defaults to `"uniform"`):
            `uniform`, `mixed`, `exponential`, `towards_start`, `towards_snapshot`, `towards_pulled` or
            `towards_zero_shot`; see [`WeightAveraging`].
        averaging_decay (`float`, *optional*): 0.98 for `mixed`, 0.999 for the kinds below it, where not given.
        averaging_device (`str`, defaults to `"model"`): Where averages lie: `model` (its device) or `cpu`.
        wise_alpha (`float`, defaults to 1.0): Share of the learnt weights in the merge after a task; 1 for no merge.
    """

    name: ClassVar[str] = "regularized"
    citation: ClassVar[str] = ZSCL_CITATION

    l2_weight: float = 0.0
    averaging_interval: int | None = 0
    averaging_last: bool | None = None
    averaging: Literal[
        "uniform", "mixed", "exponential", "towards_start", "towards_snapshot", "towards_pulled", "towards_zero_shot"
    ] = "uniform"
    averaging_decay: float | None = None
    averaging_device: Literal["model", "cpu"] = "model"
    wise_alpha: float = 1.0

    def __post_init__(self) -> None:
        self.anchor: dict[str, Tensor] = {}
        self.averager: WeightAveraging | None = None
        self._warned = False
        if self.averages:
            device = None if self.averaging_device == "model" else self.averaging_device
            self.averager = WeightAveraging(
                self.averaging_interval or 1, self.averaging, self.averaging_decay, device=device
            )

    def problems(self) -> list[str]:
        found = super().problems()
        found += [
            f"{name}: must not be negative, found {getattr(self, name)}"
            for name in option_names(type(self))
            if name.endswith("_weight") and getattr(self, name) < 0
        ]
        if self.averaging_interval is not None and self.averaging_interval < 0:
            found.append(f"averaging_interval: must be 0 (never) or more, found {self.averaging_interval}")
        for name in ("averaging_decay", "wise_alpha"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                found.append(f"{name}: must be between 0 and 1, got {value}")
        return found

    def adapter_problems(self) -> list[str]:
        found = super().adapter_problems()
        if self.averager and self.averaging == "towards_zero_shot":
            found.append(
                "averaging: towards_zero_shot pulls whole weights, and an adapter has none of the initial CLIP's; "
                "choose another kind, or leave peft out"
            )
        return found

    @property
    def averages(self) -> bool:
        """Whether the weights are averaged or pulled during a task."""
        return self.averaging_interval is None or self.averaging_interval > 0

    @property
    def needs_anchor(self) -> bool:
        """Whether the parameters at the start of the task are kept."""
        return self.l2_weight > 0 or self.wise_alpha < 1

    @property
    def moves_weights(self) -> str | None:
        moves = self.averages and self.averaging.startswith("towards_")
        return f"averaging: {self.averaging}" if moves else None

    @property
    def keeps_on_cpu(self) -> str | None:
        return "averaging_device: cpu" if self.averaging_device == "cpu" else None

    def begin_task(self, model: PreTrainedModel, context: TaskContext) -> None:
        super().begin_task(model, context)
        self.anchor = copy_parameters(model) if self.needs_anchor else {}
        if self.averager:
            self._fit_averaging(self.averager, context)
            zero_shot = None
            if self.averaging == "towards_zero_shot":
                zero_shot = dict(context.initial_model().named_parameters())
            self.averager.start(model, zero_shot)

    def _fit_averaging(self, averager: WeightAveraging, context: TaskContext) -> None:
        """Set the interval and the last snapshot for the number of steps of a task; warn once a run."""
        steps, given = context.args.max_steps, self.averaging_interval
        averager.interval = max(1, round(steps / SNAPSHOTS)) if given is None or given >= steps else given
        left = (steps - 1) % averager.interval
        averager.last = averager.interval != given if self.averaging_last is None else self.averaging_last
        where = f"averaging_interval: {given} steps in task {context.name} of {steps} steps"
        if given is not None and averager.interval != given:
            self._warn(
                f"{where} would discard the training: the only snapshot is the one after the first step. It is set to "
                f"{averager.interval} (a tenth of the steps) with a snapshot at the end, here and in every task that "
                "is too short; give an interval shorter than the shortest task"
            )
        elif self.averaging_last is None and not averager.last and left * 4 > steps:
            self._warn(
                f"{where} leaves the last {left} steps out of the average. Set averaging_last: true to include the "
                "end of each task, or false to keep it so without this warning"
            )

    def _warn(self, message: str) -> None:
        """Log a warning, the first one of a run."""
        if not self._warned:
            logger.warning(message)
        self._warned = True

    def terms(self, model: nn.Module, embeddings: Embeddings, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        terms = super().terms(model, embeddings, batch)
        if self.l2_weight:
            terms["l2_loss"] = self.l2_weight * squared_distance(model, self.anchor)
        return terms

    def callbacks(self) -> list[TrainerCallback]:
        return [self.averager] if self.averager else []

    def end_task(self, model: PreTrainedModel) -> PreTrainedModel:
        if self.averager:
            self.averager.finish(model)
        if self.wise_alpha < 1:
            start = {name: full_tensor(tensor) for name, tensor in self.anchor.items()}
            merged = interpolate(start, learnt := copy_parameters(model), self.wise_alpha)
            # The update of an adapter is B A, with B zero at the start: scaling B alone interpolates the weights.
            load_parameters(model, {n: learnt[n] if ".lora_A." in n else value for n, value in merged.items()})
        self.anchor = {}
        return super().end_task(model)

    def state_dict(self) -> dict[str, Tensor]:
        return {**super().state_dict(), **(self.averager.state_dict() if self.averager else {})}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        super().load_state_dict(state)
        if self.averager:
            self.averager.load_state_dict(state)
