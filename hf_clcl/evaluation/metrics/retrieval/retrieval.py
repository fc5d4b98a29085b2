"""Image-text retrieval, as an `evaluate` module that works offline."""

# One import per line: `evaluate.load` reads the imports of a module line by line.
from __future__ import annotations

from collections.abc import Sequence

import datasets
import evaluate
import numpy as np

from hf_clcl.metrics.ranks import retrieval_of_embeddings

_DESCRIPTION = """\
Image-to-text and text-to-image retrieval: R@1, R@5, R@10, median and mean rank. An image may have several captions;
each of them is a correct match. Ties count against the query.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (`list[list[float]]`): Embedding of the text of each pair.
    references (`list[list[float]]`): Embedding of the image of each pair; of equal images, the first is used.
    image (`list[int]`): Image number of each pair; pairs with the same number are captions of one image.
    normalize (`bool`, defaults to `True`): Whether similarity is the cosine; otherwise the inner product.

Returns:
    `dict[str, float]`: `image_to_text_r1`, `..._r5`, `..._r10` in percent, `image_to_text_median_rank` and
    `..._mean_rank` from 1, and the same for `text_to_image`.

Example:
    >>> metric = evaluate.load("hf_clcl/evaluation/metrics/retrieval")
    >>> images, texts = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]]
    >>> results = metric.compute(predictions=texts, references=images, image=[0, 0, 1])
    >>> results["image_to_text_r1"], results["text_to_image_mean_rank"]
    (50.0, 1.3333333333333333)
"""

_CITATION = """\
@inproceedings{radford2021clip,
  title     = {Learning Transferable Visual Models From Natural Language Supervision},
  author    = {Radford, Alec and Kim, Jong Wook and Hallacy, Chris and Ramesh, Aditya and Goh, Gabriel and others},
  booktitle = {ICML},
  year      = {2021}
}
"""


class Retrieval(evaluate.Metric):
    """Recall and ranks in both directions, from the embeddings of pairs."""

    def _info(self) -> evaluate.MetricInfo:
        embedding = datasets.Sequence(datasets.Value("float32"))
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(
                {"predictions": embedding, "references": embedding, "image": datasets.Value("int64")}
            ),
        )

    def _compute(
        self,
        predictions: Sequence[Sequence[float]],
        references: Sequence[Sequence[float]],
        image: Sequence[int],
        normalize: bool = True,
    ) -> dict[str, float]:
        _, first, image_of_text = np.unique(np.asarray(image), return_index=True, return_inverse=True)
        texts = np.asarray(predictions, dtype=np.float32)
        images = np.asarray([references[row] for row in first], dtype=np.float32)
        if normalize:
            texts, images = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (texts, images))
        return retrieval_of_embeddings(images, texts, image_of_text)
