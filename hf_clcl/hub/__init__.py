"""Push and pull of streams: one Hub repository for each stream, one revision for each task."""

from .pull import list_checkpoints, list_tasks, pull_record, pull_run, pull_task
from .push import HubPusher, push_output

__all__ = ["HubPusher", "list_checkpoints", "list_tasks", "pull_record", "pull_run", "pull_task", "push_output"]
