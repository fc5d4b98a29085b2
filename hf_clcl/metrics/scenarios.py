"""Scenarios: among which classes an image is classified."""

from __future__ import annotations

SCENARIOS = {
    "task_incremental": "among the classes of the image's own task",
    "class_incremental": "among the classes of all tasks seen so far",
    "domain_agnostic": "among the classes of all tasks of the stream",
}
"""Scenario -> what an image is classified among."""
