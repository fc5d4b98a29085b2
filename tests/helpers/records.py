"""A record with something in every field."""

from __future__ import annotations

from typing import Any

from hf_clcl.record.run_record import RunRecord


def example(**values: Any) -> RunRecord:
    """Two of three tasks, with something in every field."""
    record = RunRecord(
        method="zscl",
        model="openai/clip-vit-base-patch16",
        tasks=["a", "b", "c"],
        zero_shot=[30.0, 40.0, 50.0],
        accuracy=[[90.0, 38.0, 44.0], [80.0, 70.0, 45.0]],
        evaluation_only={"cifar10": {"zero_shot": 60.0, "accuracy": [58.0, 57.5]}},
        recipe={"method": "zscl", "seed": 1},
        versions={"hf_clcl": "0.1.0"},
        seed=1,
        device="CPU",
        trainable_parameters=10,
        total_parameters=20,
        phases=[
            {"phase": "evaluation", "task": None, "seconds": 1, "peak_memory_mb": 100.0},
            {"phase": "training", "task": "a", "seconds": 2.5, "peak_memory_mb": 300.0},
            {"phase": "training", "task": "b", "seconds": 2.0, "peak_memory_mb": None},
        ],
        losses=[{"task": "a", "step": 1, "loss": 0.5, "image": 0.2}, {"task": "b", "step": 2, "loss": 0.4}],
        datasets=[{"task": "a", "dataset": "me/a", "classes": 3, "train": 9, "test": 3, "licence": "mit"}],
        created="2026-01-02T03:04:05+00:00",
        command="python -m hf_clcl.train recipe.yaml",
        citations=["@article{a}"],
        extra={"later": {"key": [1]}},
    )
    for key, value in values.items():
        setattr(record, key, value)
    return record
