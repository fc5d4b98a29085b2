"""Ranks and recall, against values worked out by hand and a naive ranking."""

import numpy as np
import pytest

from hf_clcl.metrics import ranks as module
from hf_clcl.metrics.ranks import (
    mean_recall,
    ranks,
    ranks_of_embeddings,
    recall,
    retrieval_metrics,
    retrieval_of_embeddings,
)

# Three images, texts 0 and 1 of image 0, text 2 of image 1, texts 3 and 4 of image 2.
PAIRING = [0, 0, 1, 2, 2]
SIMILARITY = [
    [0.1, 0.9, 0.8, 0.2, 0.3],  # its text 1 is first
    [0.9, 0.8, 0.7, 0.1, 0.0],  # its text 2 is third
    [0.9, 0.8, 0.7, 0.1, 0.6],  # its text 4 is fourth
]


def test_both_directions_by_hand() -> None:
    found = retrieval_metrics(SIMILARITY, PAIRING)
    # Image to text: ranks 1, 3, 4. Text to image, column by column: 3, 1, 3 (one above, one equal), 3 (the same), 1.
    assert found["image_to_text_r1"] == pytest.approx(100 / 3) and found["image_to_text_r5"] == 100
    assert found["image_to_text_median_rank"] == 3 and found["image_to_text_mean_rank"] == pytest.approx(8 / 3)
    assert ranks(np.transpose(SIMILARITY), PAIRING, range(3)).tolist() == [3, 1, 3, 3, 1]
    assert found["text_to_image_r1"] == 40 and found["text_to_image_mean_rank"] == pytest.approx(11 / 5)
    assert mean_recall(found) == pytest.approx((100 / 3 + 40) / 2)


def test_equal_scores_earn_nothing() -> None:
    found = retrieval_metrics(np.zeros((4, 8)), np.repeat(range(4), 2))
    assert found["image_to_text_r1"] == found["text_to_image_r1"] == 0
    assert (found["image_to_text_mean_rank"], found["text_to_image_mean_rank"]) == (7, 4)  # behind all wrong ones


def test_what_is_no_number_earns_nothing() -> None:
    scores = np.array([[np.nan, 0.5, 0.4], [0.1, 0.5, np.nan]])
    assert ranks(scores, [0, 1], [0, 1, 2]).tolist() == [3, 2]


def test_several_right_items_and_queries_of_one_group() -> None:
    # Two queries of group 7, which has two items: the second is found, whatever the first scores.
    assert ranks([[0.1, 0.5, 0.4], [0.3, 0.2, 0.4]], [7, 7], [7, 7, 8]).tolist() == [1, 2]


def test_recall_at_its_bounds() -> None:
    found = recall([1, 2, 5, 6, 10, 11])
    expected = {"r1": 100 / 6, "r5": 50, "r10": 500 / 6, "median_rank": 5.5, "mean_rank": 35 / 6}
    assert found == pytest.approx(expected)


def naive(scores: np.ndarray, query_groups: np.ndarray, item_groups: np.ndarray) -> list[int]:
    found = []
    for row, group in zip(scores, query_groups, strict=True):
        order = sorted(range(len(row)), key=lambda i: (-row[i], item_groups[i] == group))
        right = [place for place, i in enumerate(order) if item_groups[i] == group][0]
        found.append(1 + right)
    return found


def test_blocks_of_embeddings_equal_a_sort(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    images, texts = rng.integers(-2, 3, (23, 4)), rng.integers(-2, 3, (69, 4))  # small whole numbers: many ties
    pairing = rng.permutation(np.repeat(range(23), 3))
    expected = naive(images @ texts.T, np.arange(23), pairing)
    monkeypatch.setattr(module, "BLOCK", 150)  # two queries a block
    assert ranks_of_embeddings(images, texts, range(23), pairing).tolist() == expected
    assert retrieval_of_embeddings(images, texts, pairing) == retrieval_metrics(images @ texts.T, pairing)
    assert naive(texts @ images.T, pairing, np.arange(23)) == ranks(texts @ images.T, pairing, range(23)).tolist()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ranks([[1.0, 2.0]], [5], [0, 1]), r"query 0 has no correct item \(1 such queries\)"),
        (lambda: ranks([[1.0, 2.0]], [0, 1], [0, 1]), "1 queries and 2 items need as many groups, got 2 and 2"),
        (lambda: ranks([1.0], [0], [0]), r"got shape \(1,\)"),
        (lambda: ranks_of_embeddings(np.ones((1, 2)), np.ones((1, 3)), [0], [0]), "got .1, 2. and .1, 3."),
        (lambda: recall([]), "there are no queries"),
    ],
)
def test_what_cannot_be_ranked_is_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
