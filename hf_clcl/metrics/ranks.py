"""Retrieval metrics: ranks of the correct items, and recall at k, for images, texts and videos.

Queries and items have group numbers. An item is correct for a query if both have the same group. For example, five
captions of one image share its group, and so may several images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

RECALL_AT = (1, 5, 10)
DIRECTIONS = ("image_to_text", "text_to_image")
OWN_VIDEOS, ALL_VIDEOS = "text_to_video", "text_to_database"
"""Searches of videos: among the videos of the query's own task, and among those of all tasks in the database."""

MEASURES: dict[str, str] = {
    **{f"r{k}": f"R@{k}" for k in RECALL_AT},
    "median_rank": "MedR",
    "mean_rank": "MeanR",
}
"""Measure of a search -> display name. Recall is in percent; ranks count from 1."""

BLOCK = 2**22  # similarities in memory at a time: 16 MB

Groups = Sequence[int] | np.ndarray
"""Group numbers, one for each query or item."""


def ranks(scores: np.ndarray, query_groups: Groups, item_groups: Groups) -> np.ndarray:
    """Compute the rank, from 1, of the best correct item of each query.

    A wrong item with the same score as the best correct item ranks before it, so the result does not depend on the
    order of the items. A score that is NaN counts against the query.

    Args:
        scores (`np.ndarray` of shape `[Q, N]`): Similarity of each query to each item.
        query_groups (`Sequence[int]` or `np.ndarray` of length `Q`): Group of each query.
        item_groups (`Sequence[int]` or `np.ndarray` of length `N`): Group of each item.

    Returns:
        `np.ndarray`: `[Q]`, whole numbers.

    Raises:
        ValueError: If shapes do not match, or a query has no correct item.
    """
    scores = np.asarray(scores)
    if scores.ndim != 2:
        raise ValueError(f"scores must be a matrix of queries and items, got shape {scores.shape}")
    return _ranks(lambda rows: scores[rows], scores.shape, query_groups, item_groups)


def ranks_of_embeddings(
    queries: np.ndarray, items: np.ndarray, query_groups: Groups, item_groups: Groups
) -> np.ndarray:
    """Compute [`ranks`] from embeddings by inner products, with one block of them in memory at a time.

    Args:
        queries (`np.ndarray` of shape `[Q, d]`): Embeddings of the queries.
        items (`np.ndarray` of shape `[N, d]`): Embeddings of the items.
        query_groups (`Sequence[int]` or `np.ndarray` of length `Q`): Group of each query.
        item_groups (`Sequence[int]` or `np.ndarray` of length `N`): Group of each item.
    """
    queries, items = np.asarray(queries, dtype=np.float32), np.asarray(items, dtype=np.float32)
    if queries.ndim != 2 or items.ndim != 2 or queries.shape[1] != items.shape[1]:
        raise ValueError(f"embeddings must be [Q, d] and [N, d], got {queries.shape} and {items.shape}")
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
        raise ValueError(f"{shape[0]} queries and {shape[1]} items need as many groups, got "
                         f"{len(query_groups)} and {len(item_groups)}")  # fmt: skip
    unmatched = ~np.isin(query_groups, item_groups)
    if unmatched.any():
        raise ValueError(f"query {int(unmatched.argmax())} has no correct item ({int(unmatched.sum())} such queries)")
    best_ranks = np.empty(shape[0], dtype=np.int64)
    step = max(1, BLOCK // max(1, shape[1]))
    for start in range(0, shape[0], step):
        rows = slice(start, start + step)
        scores, correct = scores_of(rows), query_groups[rows, None] == item_groups
        best = np.where(correct, scores, -np.inf).max(axis=1, keepdims=True)
        best_ranks[rows] = 1 + (~(scores < best) & ~correct).sum(axis=1)
    return best_ranks


def recall(query_ranks: np.ndarray) -> dict[str, float]:
    """Compute the measures of [`MEASURES`] over queries: recall in percent, median and mean rank.

    Args:
        query_ranks (`np.ndarray` of shape `[Q]`): Rank of each query, from 1.
    """
    query_ranks = np.asarray(query_ranks)
    if not query_ranks.size:
        raise ValueError("there are no queries; recall needs at least one")
    at = {f"r{k}": 100 * float((query_ranks <= k).mean()) for k in RECALL_AT}
    return {**at, "median_rank": float(np.median(query_ranks)), "mean_rank": float(query_ranks.mean())}


def retrieval_metrics(similarity: np.ndarray, image_of_text: Groups) -> dict[str, float]:
    """Compute recall and ranks in both directions, such as `image_to_text_r1`.

    Each caption of an image is a correct item for it.

    Source: the image-text retrieval of CLIP (Radford et al., 2021), with five captions an image.

    Args:
        similarity (`np.ndarray` of shape `[I, N]`): Similarity of each image to each text.
        image_of_text (`Sequence[int]` or `np.ndarray` of length `N`): The image that each text describes.
    """
    similarity = np.asarray(similarity)
    images = np.arange(len(similarity))
    return _both(ranks(similarity, images, image_of_text), ranks(similarity.T, image_of_text, images))


def retrieval_of_embeddings(images: np.ndarray, texts: np.ndarray, image_of_text: Groups) -> dict[str, float]:
    """Compute [`retrieval_metrics`] from normalised embeddings, without the full matrix of similarities.

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
    """Compute the score of a retrieval task in the accuracy matrix, in percent: the mean R@1 of both directions.

    For videos it is R@1 among the task's own videos. Among those of all tasks, it would fall as the database grows.
    """
    directions = DIRECTIONS if f"{DIRECTIONS[0]}_r1" in metrics else (OWN_VIDEOS,)
    return float(np.mean([metrics[f"{direction}_r1"] for direction in directions]))


def directions_of(metrics: Mapping[str, float]) -> list[str]:
    """The directions that measures belong to, such as `image_to_text`."""
    return [key.removesuffix("_r1") for key in metrics if key.endswith("_r1")]


def recall_problems(metrics: Mapping[str, float]) -> list[str]:
    """Impossible values among the measures of a search, one line each."""
    return [
        f"{key}: must be a rank from 1, got {value}"
        if key.endswith("_rank")
        else f"{key}: must be a percentage from 0 to 100, got {value}"
        for key, value in metrics.items()
        if (value < 1 if key.endswith("_rank") else not 0 <= value <= 100)
    ]


def _both(image_to_text: np.ndarray, text_to_image: np.ndarray) -> dict[str, float]:
    by_direction = dict(zip(DIRECTIONS, (image_to_text, text_to_image), strict=True))
    return {f"{way}_{key}": value for way, own in by_direction.items() for key, value in recall(own).items()}
