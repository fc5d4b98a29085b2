"""GeoDL: distillation along the geodesic between old and new feature subspaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge
from torch import Tensor

from . import losses
from .base import Embeddings
from .guided import Guided


@dataclass
class GeoDL(Guided):
    """Keep the image embeddings similar to those of the model before the task, along the geodesic between the
    subspaces that the two sets of embeddings `[R, d]` span.

    `1 - mean_i <f_i, g_i>_Q / (|f_i|_Q |g_i|_Q)`, see [`~hf_clcl.methods.losses.geodesic_flow`] for
    `Q [d, d]`. The subspaces are those of one batch of the task's own images, spanned by its leading right singular
    vectors; no gradient flows through them.

    Source: Simon et al., CVPR 2021, arXiv 2104.08572; adapted to CLIP as in Ding et al., 2022 (arXiv 2207.09248). The
    paper gives no weight for CLIP: the default is ours, and to be tuned.

    Args:
        geodesic_weight (`float`, defaults to 10.0): Weight of the distillation.
        subspace_dimensions (`int`, defaults to 16): Dimensions of the subspaces; no more than images in a batch.
        kwargs: The options of [`Guided`] and [`Regularized`].
    """

    name: ClassVar[str] = "geodl"
    citation: ClassVar[str] = """@inproceedings{simon2021geodl,
  title = {On Learning the Geodesic Path for Incremental Learning},
  author = {Simon, Christian and Koniusz, Piotr and Harandi, Mehrtash},
  booktitle = {CVPR},
  year = {2021}
}"""

    geodesic_weight: float = 10.0
    subspace_dimensions: Annotated[int, Ge(1)] = 16

    def guidance(self, teacher_images: Tensor, embeddings: Embeddings) -> dict[str, Tensor]:
        loss = losses.geodesic_distillation(teacher_images, embeddings.reference_images, self.subspace_dimensions)
        return {"geodesic_loss": self.geodesic_weight * loss}
