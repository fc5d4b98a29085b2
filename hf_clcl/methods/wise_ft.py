"""Fine-tuning that is merged with its start after each task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .regularized import Regularized


@dataclass
class WiSEFT(Regularized):
    """Fine-tuning whose result is interpolated with the weights at the start of each task.

    `theta = alpha * theta_learnt + (1 - alpha) * theta_start`

    Source: Wortsman et al., CVPR 2022, with the share of ZSCL's comparison.

    Args:
        wise_alpha (`float`, defaults to 0.8): Share of the learnt weights.
        kwargs: The other options of [`Regularized`].
    """

    name: ClassVar[str] = "wise_ft"
    citation: ClassVar[str] = """@inproceedings{wortsman2022wiseft,
  title = {Robust Fine-Tuning of Zero-Shot Models},
  author = {Wortsman, Mitchell and Ilharco, Gabriel and Kim, Jong Wook and Li, Mike and others},
  booktitle = {CVPR},
  year = {2022}
}"""

    wise_alpha: float = 0.8
