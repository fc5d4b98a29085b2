"""GeoDL: distillation along the geodesic between old and new feature subspaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge
from torch import Tensor

from ..utils.required import required
from . import losses
from .base import Embeddings
from .guided import Guided


@dataclass
class GeoDL(Guided):
    """Keep the image embeddings similar to those of the model before the task.

    The similarity is integrated along the geodesic between the subspaces of the two sets of embeddings `[R, d]`:
    `1 - mean_i <f_i, g_i>_Q / (|f_i|_Q |g_i|_Q)`, see [`~hf_clcl.methods.losses.geodesic_flow`] for
    `Q [d, d]`. The subspaces are spanned by the leading right singular vectors of one batch of the task's images; no
    gradient flows through them.

    Source: Simon et al., CVPR 2021, arXiv 2104.08572; adapted to CLIP as in Ding et al., 2022 (arXiv 2207.09248). The
    paper gives no weight for CLIP: tune the default.

    Args:
        geodesic_weight (`float`, defaults to 10.0): Weight of the distillation.
        subspace_dimensions (`int`, defaults to 16): Dimensions of the subspaces; at most the images of a batch.
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
        images = required(embeddings.reference_images, "embeddings of references")
        loss = losses.geodesic_distillation(teacher_images, images, self.subspace_dimensions)
        return {"geodesic_loss": self.geodesic_weight * loss}
