"""Push of finished tasks and checkpoints: in a thread during training, or later by a command."""

from __future__ import annotations

import logging
import shutil
import signal
import threading
from functools import partial
from pathlib import Path
from queue import Queue
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING

from ..record.run_record import RunRecord
from ..utils.errors import UserError
from .checkpoints import Checkpoint, last_checkpoint, newest, stage
from .client import explain, is_final, no_progress_bars, status_of, token_from, with_retries
from .repository import Repository, push_revisions
from .revisions import Revision, unpushed

if TYPE_CHECKING:
    from transformers import TrainerCallback

    from ..config.arguments import ContinualTrainingArguments

logger = logging.getLogger(__name__)

# Values of `hub_strategy` by which checkpoints within a task are pushed: the newest one, or all.
CHECKPOINT, ALL_CHECKPOINTS = "checkpoint", "all_checkpoints"


class HubPusher:
    """Push finished tasks in a background thread; a failed push never stops training.

    A context manager: on exit, it pushes what is left. The tags of the repository and the folders of the run say which
    revisions are missing.

    Args:
        output (`Path`): The output folder.
        record (`RunRecord`): The current record, to compare with that of the repository.
        args (`ContinualTrainingArguments`): `hub_model_id` and the other values for the Hub.

    Raises:
        UserError: If the Hub refuses the repository. If the Hub does not answer, only a warning is logged.
    """

    def __init__(self, output: Path, record: RunRecord, args: ContinualTrainingArguments):
        self.output, self.at_end = output, args.hub_strategy == "end"
        self.repository = Repository(
            args.hub_model_id, args.hub_private_repo, args.hub_overwrite, token_from(args.hub_token_env),
            keep_checkpoints=args.hub_strategy == ALL_CHECKPOINTS,
        )  # fmt: skip
        self.repo_id = self.repository.repo_id
        self.within_tasks = args.hub_strategy in (CHECKPOINT, ALL_CHECKPOINTS)
        self.stage = output / ".hub"
        shutil.rmtree(self.stage, ignore_errors=True)  # left by an interrupted run
        self.pending: list[Revision] = []
        self.checkpoints: list[Checkpoint] = []
        self.seen: set[str] = set()
        try:
            self.seen |= self.repository.open(record)
        except UserError:
            raise
        except Exception as error:
            if is_final(error) and status_of(error) is not None:
                raise UserError(f"{self.repo_id}: {explain(error, self.repo_id)}") from None
            logger.warning(
                "%s cannot be reached (%s); training continues, and the push is tried again",
                self.repo_id,
                explain(error),
            )
        self._queue: Queue[Revision | Checkpoint | None] = Queue()
        self._thread = threading.Thread(target=self._work, name="hub", daemon=True)

    def push(self, record: RunRecord) -> None:
        """Queue every revision that is neither in the repository nor in the queue."""
        for revision in unpushed(self.output, record, self.repo_id, self.seen):
            self._queue.put(revision)

    def callbacks(self) -> list[TrainerCallback]:
        """Callbacks for the trainer of a task."""
        from .callback import PushCheckpoints

        return [PushCheckpoints(self._push_checkpoint)] if self.within_tasks else []

    def _push_checkpoint(self, checkpoint: Checkpoint) -> None:
        try:
            self._queue.put(stage(checkpoint, self.stage))
        except OSError as error:  # such as a full disk: training must continue
            logger.warning("%s cannot be pushed: %s", checkpoint.path, explain(error))

    def __enter__(self) -> HubPusher:
        if not self.at_end:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        interrupted = kind is not None and not issubclass(kind, Exception)
        # A preempted machine (SIGTERM) may never come back, and its last checkpoint was just queued.
        preempted = getattr(error, "exit_code", None) == 128 + signal.SIGTERM and self.within_tasks
        if interrupted and not preempted:
            return  # the user does not want to wait
        logger.warning("pushing the remaining revisions to %s", self.repo_id)
        self._queue.put(None)
        if self.at_end:
            self._thread.start()
        self._thread.join()
        shutil.rmtree(self.stage, ignore_errors=True)
        if left := [revision.name for revision in self.pending] or [c.path for c in self.checkpoints]:
            logger.warning(
                "%s could not be pushed to %s; to try again: python -m hf_clcl.hub push %s --hub_model_id %s",
                ", ".join(left), self.repo_id, self.output, self.repo_id,
            )  # fmt: skip
        else:
            logger.warning("pushed to %s/%s", self.repository.api.endpoint, self.repo_id)

    def _work(self) -> None:
        while True:
            item = self._queue.get()
            if isinstance(item, Revision):
                self.pending.append(item)
            elif item is not None:
                if not self.repository.keep_checkpoints:
                    self._drop_checkpoints()  # only the newest is needed
                self.checkpoints.append(item)
            if not self._queue.empty():
                continue
            try:
                with no_progress_bars():
                    push_revisions(self.repository, self.pending)
                    push_checkpoints(self.repository, self.checkpoints)
            except Exception as error:  # any error: training must continue
                logger.warning(
                    "%s could not be pushed to %s (%s); the push is tried again",
                    self._next(), self.repo_id, explain(error, self.repo_id),
                )  # fmt: skip
            if item is None:
                return

    def _drop_checkpoints(self) -> None:
        for checkpoint in self.checkpoints:
            shutil.rmtree(checkpoint.local_folder, ignore_errors=True)
        self.checkpoints.clear()

    def _next(self) -> str:
        if self.pending:
            return self.pending[0].name
        return self.checkpoints[0].path if self.checkpoints else "the end of a task"


def push_checkpoints(repository: Repository, checkpoints: list[Checkpoint]) -> list[str]:
    """Push staged checkpoints, and delete each when it is pushed or its task is finished.

    Args:
        repository (`Repository`): The repository.
        checkpoints (`list[Checkpoint]`): The queue; pushed ones are removed from it.

    Returns:
        `list[str]`: Paths of the pushed checkpoints.
    """
    pushed: list[str] = []
    while checkpoints:
        first = checkpoints[0]
        if repository.keep_checkpoints or first.task not in repository.tags:
            with_retries(partial(repository.push_checkpoint, first))
            pushed.append(first.path)
        shutil.rmtree(first.local_folder, ignore_errors=True)
        del checkpoints[0]
    return pushed


def push_output(
    output_dir: str | Path,
    hub_model_id: str | None = None,
    private: bool | None = None,
    overwrite: bool = False,
    token: str | None = None,
) -> list[str]:
    """Push the finished tasks of a run that are missing in its repository.

    Args:
        output_dir (`str` or `Path`): The folder of the run.
        hub_model_id (`str`, *optional*): The repository; by default that of the recipe.
        private (`bool`, *optional*): Whether to create the repository as private.
        overwrite (`bool`, defaults to `False`): Whether to replace a different run in the repository.
        token (`str`, *optional*): Token with write access; by default `HF_TOKEN` or the login.

    Returns:
        `list[str]`: Names of the pushed revisions; empty if none was missing.

    Raises:
        UserError: If the folder is no run, or the push fails. A second call pushes the rest.
    """
    output, record = Path(output_dir), RunRecord.load(Path(output_dir))
    strategy = record.recipe.get("hub_strategy")
    repository = Repository(
        hub_model_id or record.recipe.get("hub_model_id"), private, overwrite, token, strategy == ALL_CHECKPOINTS
    )
    try:
        tags = with_retries(lambda: repository.open(record))
        pushed = push_revisions(repository, list(unpushed(output, record, repository.repo_id, tags)))
        last = last_checkpoint(output, record) if strategy in (CHECKPOINT, ALL_CHECKPOINTS) else None
        remote = newest(repository.checkpoints, last.task) if last else None
        if last and not (remote and remote.step >= last.step):
            with TemporaryDirectory(dir=output, prefix=".hub-") as place:
                pushed += push_checkpoints(repository, [stage(last, Path(place))])
        return pushed
    except UserError:
        raise
    except Exception as error:
        reason = explain(error, repository.repo_id)
        raise UserError(f"{repository.repo_id}: {reason}. Run the same command again to push the rest") from error
