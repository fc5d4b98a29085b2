"""The `evaluate` modules of retrieval, class-incremental streams and updates: loaded by path, and across processes."""

import doctest
import importlib
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import hf_clcl

evaluate = pytest.importorskip("evaluate")
FOLDER = Path(hf_clcl.__file__).parent / "evaluation" / "metrics"
MODULES = ("retrieval", "class_incremental_accuracy", "update_accuracy", "continual_accuracy")

# Two captions of image 4 and one of image 9; cosines to the images are 0.8 and 0.6, 0.6 and 0.8, 1 and 0.
PAIRS = {
    "predictions": [[0.8, 0.6], [0.3, 0.4], [2.0, 0.0]],
    "references": [[1.0, 0.0], [1.0, 0.0], [0.0, 5.0]],
    "image": [4, 4, 9],
}


def check_pairs(found: dict[str, float]) -> None:
    # Image 4: its best caption (0.8) comes after the wrong one (1): rank 2. Image 9: 0 comes after 0.6 and 0.8: 3.
    assert (found["image_to_text_r1"], found["image_to_text_r5"], found["image_to_text_mean_rank"]) == (0, 100, 2.5)
    # The captions: 1, 2 (0.6 after 0.8), 2 (0 after 1).
    assert found["text_to_image_r1"] == pytest.approx(100 / 3) and found["text_to_image_median_rank"] == 2


def test_retrieval(load_metric) -> None:
    check_pairs(load_metric("retrieval").compute(**PAIRS))
    lengths = load_metric("retrieval").compute(
        **PAIRS, normalize=False
    )  # the second caption is nearer to the longer image 9
    assert lengths["text_to_image_mean_rank"] == pytest.approx((2 + 2 + 2) / 3)


def compute_in_two(load_metric, name: str, columns: dict[str, list], cut: int) -> dict[str, Any]:
    """Each of two processes, here threads, has a part of the examples; the first gets the result of all."""
    found: dict[int, Any] = {}

    def one(rank: int) -> None:
        metric = load_metric(name, num_process=2, process_id=rank, experiment_id=name)
        metric.add_batch(**{key: column[cut:] if rank else column[:cut] for key, column in columns.items()})
        found[rank] = metric.compute()

    threads = [Thread(target=one, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found[1] is None
    return found[0]


def test_captions_of_one_image_in_two_processes(load_metric) -> None:
    check_pairs(compute_in_two(load_metric, "retrieval", PAIRS, 1))


STEPS = {"predictions": [0, 1, 0, 3, 2, 2], "references": [0, 1, 0, 2, 2, 1], "step": [1, 1, 2, 2, 2, 2]}


def test_class_incremental_accuracy(load_metric) -> None:
    expected = {"accuracy": [100, 50], "average": 75, "last": 50}
    assert load_metric("class_incremental_accuracy").compute(**STEPS) == expected
    assert compute_in_two(load_metric, "class_incremental_accuracy", STEPS, 5) == expected
    with pytest.raises(ValueError, match="step: must be 1, 2, ... without gaps, got 1, 3"):
        load_metric("class_incremental_accuracy").compute(predictions=[0, 0], references=[0, 0], step=[1, 3])


UPDATE = {
    "predictions": [0, 1, 0, 1, 2, 0, 5], "references": [0, 1, 1, 1, 2, 1, 4],
    "updated": [1, 1, 1, 1, 0, 0, 0], "group": [0, 0, 0, 1, 2, 2, 3],
}  # fmt: skip


def test_update_accuracy(load_metric) -> None:
    # Groups trained on: 2 of 3 and 1 of 1; never trained on: 1 of 2 and 0 of 1.
    expected = {"updated_accuracy": pytest.approx(250 / 3), "unseen_accuracy": 25}
    assert load_metric("update_accuracy").compute(**UPDATE) == expected
    assert compute_in_two(load_metric, "update_accuracy", UPDATE, 3) == expected
    alone = {key: column[:4] for key, column in UPDATE.items()}
    assert load_metric("update_accuracy").compute(**alone) == {"updated_accuracy": pytest.approx(250 / 3)}
    with pytest.raises(ValueError, match="group 0 has examples of both kinds"):
        load_metric("update_accuracy").compute(predictions=[0, 0], references=[0, 0], updated=[1, 0], group=[0, 0])


@pytest.mark.parametrize("name", MODULES)
def test_the_example_of_a_module_is_true(load_metric, name: str) -> None:
    module = importlib.import_module(f"hf_clcl.evaluation.metrics.{name}.{name}")

    class Local:
        load = staticmethod(lambda path: load_metric(Path(path).name))

    test = doctest.DocTestParser().get_doctest(module._KWARGS_DESCRIPTION, {"evaluate": Local}, name, None, None)
    assert len(test.examples) >= 2 and doctest.DocTestRunner().run(test).failed == 0
    assert f"metrics/{name}" in (FOLDER / name / "README.md").read_text()
