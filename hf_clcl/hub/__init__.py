"""One repository a stream, one revision a task: `push_output`, `pull_run`, `pull_task`, `list_tasks`."""

from .pull import list_checkpoints, list_tasks, pull_record, pull_run, pull_task
from .push import HubPusher, push_output

__all__ = ["HubPusher", "list_checkpoints", "list_tasks", "pull_record", "pull_run", "pull_task", "push_output"]
