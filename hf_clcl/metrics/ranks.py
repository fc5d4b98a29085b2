"""Ranks of what a query should find, and the recall that follows from them; for images, texts and videos alike.

Queries and items carry group numbers: an item is right for a query where both are of the same group. So five captions
of one image share its group, and so may several images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

RECALL_AT = (1, 5, 10)
DIRECTIONS = ("image_to_text", "text_to_image")
OWN_VIDEOS, ALL_VIDEOS = "text_to_video", "text_to_database"
"""Searches of videos: among those of the query's own task, and among those of all tasks in the database."""

MEASURES: dict[str, str] = {
    **{f"r{k}": f"R@{k}" for k in RECALL_AT},
    "median_rank": "MedR",
    "mean_rank": "MeanR",
}
"""Measure of a search -> its usual name. Recall is in percent; ranks count from 1."""

BLOCK = 2**22  # similarities that are held at a time: 16 MB

Groups = Sequence[int] | np.ndarray
"""Group numbers, one for each query or item."""


def ranks(scores: np.ndarray, query_groups: Groups, item_groups: Groups) -> np.ndarray:
    """The rank, from 1, of the best right item of each query.

    Wrong items that score as high as the best right one count as before it, so that equal scores earn nothing and the
    order of the items changes nothing; a score that is not a number is worst for the query.

    Args:
        scores (`np.ndarray` of shape `[Q, N]`): Similarity of each query to each item.
        query_groups (`Sequence[int]` or `np.ndarray` of length `Q`): Group of each query.
        item_groups (`Sequence[int]` or `np.ndarray` of length `N`): Group of each item.

    Returns:
        `np.ndarray`: `[Q]`, whole numbers.

    Raises:
        ValueError: Where shapes do not fit, or a query has no right item.
    """
    scores = np.asarray(scores)
    if scores.ndim != 2:
        raise ValueError(f"scores must be a matrix of queries and items, found shape {scores.shape}")
    return _ranks(lambda rows: scores[rows], scores.shape, query_groups, item_groups)


def ranks_of_embeddings(
    queries: np.ndarray, items: np.ndarray, query_groups: Groups, item_groups: Groups
) -> np.ndarray:
    """[`ranks`] by the inner products of embeddings, of which only a block is held at a time.

    Args:
        queries (`np.ndarray` of shape `[Q, d]`): Embeddings that search.
        items (`np.ndarray` of shape `[N, d]`): Embeddings that are searched.
        query_groups (`Sequence[int]` or `np.ndarray` of length `Q`): Group of each query.
        item_groups (`Sequence[int]` or `np.ndarray` of length `N`): Group of each item.
    """
    queries, items = np.asarray(queries, dtype=np.float32), np.asarray(items, dtype=np.float32)
    if queries.ndim != 2 or items.ndim != 2 or queries.shape[1] != items.shape[1]:
        raise ValueError(f"embeddings must be [Q, d] and [N, d], found {queries.shape} and {items.shape}")
    shape = (len(queries), len(items))
    return _ranks(lambda rows: queries[rows] @ items.T, shape, query_groups, item_groups)


def _ranks(
    scores_of: Callable[[slice], np.ndarray],
    shape: tuple[int, int],
    query_groups: Groups,
    item_groups: Groups,
) -> np.ndarray:
    query_groups, item_groups = np.asarray(query_groups), np.asarray(item_groups)
    if (len(query_groups), len(item_groups)) != shape:
        raise ValueError(f"{shape[0]} queries and {shape[1]} items need as many groups; found "
                         f"{len(query_groups)} and {len(item_groups)}")  # fmt: skip
    alone = ~np.isin(query_groups, item_groups)
    if alone.any():
        raise ValueError(f"query {int(alone.argmax())} has no right item ({int(alone.sum())} such queries)")
    found = np.empty(shape[0], dtype=np.int64)
    step = max(1, BLOCK // max(1, shape[1]))
    for start in range(0, shape[0], step):
        rows = slice(start, start + step)
        scores, right = scores_of(rows), query_groups[rows, None] == item_groups
        best = np.where(right, scores, -np.inf).max(axis=1, keepdims=True)
        found[rows] = 1 + (~(scores < best) & ~right).sum(axis=1)
    return found


def recall(found: np.ndarray) -> dict[str, float]:
    """The measures of [`MEASURES`] over queries: recall in percent, median and mean rank.

    Args:
        found (`np.ndarray` of shape `[Q]`): Ranks from 1.
    """
    found = np.asarray(found)
    if not found.size:
        raise ValueError("there are no queries; recall needs at least one")
    at = {f"r{k}": 100 * float((found <= k).mean()) for k in RECALL_AT}
    return {**at, "median_rank": float(np.median(found)), "mean_rank": float(found.mean())}


def retrieval_metrics(similarity: np.ndarray, image_of_text: Groups) -> dict[str, float]:
    """Recall and ranks of both directions, such as `image_to_text_r1`; an image is found by any of its captions.

    Source: the image-text retrieval of CLIP (Radford et al., 2021), with five captions an image.

    Args:
        similarity (`np.ndarray` of shape `[I, N]`): Similarity of each image to each text.
        image_of_text (`Sequence[int]` or `np.ndarray` of length `N`): The image that each text describes.
    """
    similarity = np.asarray(similarity)
    images = np.arange(len(similarity))
    return _both(ranks(similarity, images, image_of_text), ranks(similarity.T, image_of_text, images))


def retrieval_of_embeddings(images: np.ndarray, texts: np.ndarray, image_of_text: Groups) -> dict[str, float]:
    """[`retrieval_metrics`] of normalised embeddings, without the whole matrix of similarities.

    Args:
        images (`np.ndarray` of shape `[I, d]`): Embeddings of the images.
        texts (`np.ndarray` of shape `[N, d]`): Embeddings of the texts.
        image_of_text (`Sequence[int]` or `np.ndarray` of length `N`): The image that each text describes.
    """
    groups = np.arange(len(images))
    return _both(
        ranks_of_embeddings(images, texts, groups, image_of_text),
        ranks_of_embeddings(texts, images, image_of_text, groups),
    )


def mean_recall(metrics: Mapping[str, float]) -> float:
    """The score of a retrieval task in the accuracy matrix, in percent: the mean of R@1 over both directions.

    For videos, R@1 among the task's own: those of other tasks would make it fall without anything being forgotten.
    """
    ways = DIRECTIONS if f"{DIRECTIONS[0]}_r1" in metrics else (OWN_VIDEOS,)
    return float(np.mean([metrics[f"{direction}_r1"] for direction in ways]))


def directions_of(metrics: Mapping[str, float]) -> list[str]:
    """The directions that measures were taken in, such as `image_to_text`."""
    return [key.removesuffix("_r1") for key in metrics if key.endswith("_r1")]


def recall_problems(metrics: Mapping[str, float]) -> list[str]:
    """What cannot be true of the measures of a retrieval, a line each."""
    return [
        f"{key}: needs a rank from 1, found {value}"
        if key.endswith("_rank")
        else f"{key}: needs a percentage from 0 to 100, found {value}"
        for key, value in metrics.items()
        if (value < 1 if key.endswith("_rank") else not 0 <= value <= 100)
    ]


def _both(image_to_text: np.ndarray, text_to_image: np.ndarray) -> dict[str, float]:
    found = dict(zip(DIRECTIONS, (image_to_text, text_to_image), strict=True))
    return {f"{way}_{key}": value for way, of in found.items() for key, value in recall(of).items()}
