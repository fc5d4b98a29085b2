"""Push what a run has finished: beside training, and later what failed."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from queue import Queue
from types import TracebackType
from typing import TYPE_CHECKING

from ..errors import UserError
from ..record import RunRecord
from .client import explain, is_final, patiently, status_of, token_from, without_bars
from .repository import Repository, push_revisions
from .revisions import Revision, unpushed

if TYPE_CHECKING:
    from ..arguments import ContinualTrainingArguments

logger = logging.getLogger(__name__)


class HubPusher:
    """Pushes what a run has finished from a thread of its own; a failed push never stops training.

    A context: when it ends, what is still to be pushed is pushed. Which revisions are missing follows from the tags of
    the repository and the folders of the run, so nothing else has to be kept.

    Args:
        output (`Path`): The run's folder.
        record (`RunRecord`): The run as it stands, to compare with what the repository holds.
        args (`ContinualTrainingArguments`): `hub_model_id` and the other values for the Hub.

    Raises:
        UserError: Where the Hub answers that this will never work. One that does not answer is only warned of.
    """

    def __init__(self, output: Path, record: RunRecord, args: ContinualTrainingArguments):
        self.output, self.at_end = output, args.hub_strategy == "end"
        self.repository = Repository(
            args.hub_model_id, args.hub_private_repo, args.hub_overwrite, token_from(args.hub_token_env)
        )
        self.repo_id = self.repository.repo_id
        self.pending: list[Revision] = []
        self.seen: set[str] = set()
        try:
            self.seen |= self.repository.open(record)
        except UserError:
            raise
        except Exception as error:
            if is_final(error) and status_of(error) is not None:
                raise UserError(f"{self.repo_id}: {explain(error, self.repo_id)}") from None
            logger.warning(
                "%s cannot be reached (%s); training goes on, and it is tried again", self.repo_id, explain(error)
            )
        self._queue: Queue[Revision | None] = Queue()
        self._thread = threading.Thread(target=self._work, name="hub", daemon=True)

    def push(self, record: RunRecord) -> None:
        """Queue every revision that neither the repository nor the queue holds."""
        for revision in unpushed(self.output, record, self.repo_id, self.seen):
            self._queue.put(revision)

    def __enter__(self) -> HubPusher:
        if not self.at_end:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and not issubclass(kind, Exception):
            return  # stopped by hand: the user does not want to wait
        logger.warning("pushing what is left to %s", self.repo_id)
        self._queue.put(None)
        if self.at_end:
            self._thread.start()
        self._thread.join()
        if self.pending:
            logger.warning(
                "%s could not be pushed to %s; later: python -m hf_clcl.hub push %s --hub_model_id %s",
                ", ".join(revision.name for revision in self.pending), self.repo_id, self.output, self.repo_id,
            )  # fmt: skip
        else:
            logger.warning("pushed to %s/%s", self.repository.api.endpoint, self.repo_id)

    def _work(self) -> None:
        while True:
            revision = self._queue.get()
            if revision is not None:
                self.pending.append(revision)
            if not self._queue.empty():
                continue
            if self.pending:
                try:
                    with without_bars():
                        push_revisions(self.repository, self.pending)
                except Exception as error:  # whatever it is, training must go on
                    logger.warning(
                        "%s could not be pushed to %s (%s); it is kept and tried again",
                        self.pending[0].name, self.repo_id, explain(error, self.repo_id),
                    )  # fmt: skip
            if revision is None:
                return


def push_output(
    output_dir: str | Path,
    hub_model_id: str | None = None,
    private: bool | None = None,
    overwrite: bool = False,
    token: str | None = None,
) -> list[str]:
    """Push what a run has finished and its repository lacks.

    Args:
        output_dir (`str` or `Path`): The folder of the run.
        hub_model_id (`str`, *optional*): The repository; the one of the recipe where not given.
        private (`bool`, *optional*): Whether the repository is created private.
        overwrite (`bool`, defaults to `False`): Whether a different run in the repository may be replaced.
        token (`str`, *optional*): Token with the right to write; `HF_TOKEN` or the login where not given.

    Returns:
        `list[str]`: Names of the revisions that were pushed; empty where all were there.

    Raises:
        UserError: Where the folder is no run, or the Hub does not take it. Calling again goes on.
    """
    output, record = Path(output_dir), RunRecord.load(Path(output_dir))
    repository = Repository(hub_model_id or record.recipe.get("hub_model_id"), private, overwrite, token)
    try:
        tags = patiently(lambda: repository.open(record))
        return push_revisions(repository, list(unpushed(output, record, repository.repo_id, tags)))
    except UserError:
        raise
    except Exception as error:
        reason = explain(error, repository.repo_id)
        raise UserError(f"{repository.repo_id}: {reason}. The same command goes on where it stopped") from error
