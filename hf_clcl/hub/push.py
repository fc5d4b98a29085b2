"""Push a stream: each finished task is a commit on `main` and a tag; beside training, and again where it failed."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Queue
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING

from huggingface_hub import CommitOperationAdd, CommitOperationDelete

from ..errors import RecipeError, UserError
from ..record import RunRecord
from .client import (
    OWNERS,
    RECIPE,
    RECORD,
    TAG,
    explain,
    hub_api,
    hub_problems,
    is_final,
    patiently,
    status_of,
    token_from,
    without_bars,
)

if TYPE_CHECKING:
    from ..arguments import ContinualTrainingArguments

logger = logging.getLogger(__name__)


@dataclass
class Revision:
    """The state of a run after one task: its name, its record, and all files of the repository."""

    name: str
    record: RunRecord
    files: dict[str, Path | bytes]


class Repository:
    """The model repository of one stream.

    Args:
        repo_id (`str`): `owner/name`.
        private (`bool`, *optional*): Whether it is created private; the owner's default where not given.
        overwrite (`bool`, defaults to `False`): Whether the revisions of a different run may be replaced.
        token (`str`, *optional*): Token with the right to write; `HF_TOKEN` or the login where not given.
    """

    def __init__(
        self, repo_id: str | None, private: bool | None = None, overwrite: bool = False, token: str | None = None
    ):
        if problems := hub_problems(True, repo_id):
            raise RecipeError(problems, "the values for the Hub")
        self.repo_id, self.private, self.overwrite, self.api = repo_id, private, overwrite, hub_api(token)

    def open(self, record: RunRecord, replace_other: bool = False) -> set[str]:
        """Create the repository where it does not exist, and tell which revisions of this run it holds.

        Args:
            record (`RunRecord`): The run.
            replace_other (`bool`, defaults to `False`): Whether to take the tags from a run that may be overwritten.

        Raises:
            UserError: Where it belongs to something else.
        """
        self.api.create_repo(self.repo_id, private=self.private, exist_ok=True)
        info = self.api.model_info(self.repo_id)
        tags = {ref.name for ref in self.api.list_repo_refs(self.repo_id).tags if TAG.fullmatch(ref.name)}
        files = {file.rfilename for file in info.siblings or []}
        other = self._other_run(record, info.sha, files)
        if other and not self.overwrite:
            raise UserError(
                f"{self.repo_id} holds {other}. Choose another repository with --hub_model_id, go on from what it "
                f"holds with --resume_from_hub {self.repo_id} and a new --output_dir, or replace it with "
                "--hub_overwrite"
            )
        if other and replace_other:
            for tag in tags:
                self.api.delete_tag(self.repo_id, tag=tag)
        return set() if other else tags

    def _other_run(self, record: RunRecord, commit: str, files: set[str]) -> str | None:
        """What the repository holds, in words, unless it is this run."""
        if RECORD not in files:
            foreign = sorted(files - OWNERS)
            return f"{foreign[0]} and no {RECORD}: it is no repository of this software" if foreign else None
        try:
            # By its commit: a branch might be answered from the cache.
            held = RunRecord.load(self.api.hf_hub_download(self.repo_id, RECORD, revision=commit))
        except UserError:
            return f"a {RECORD} that cannot be read"
        if same_run(record, held):
            return None
        done = f"{len(held.accuracy)} of {len(held.tasks)} tasks"
        return f"a different run ({held.method}, {done}, begun {held.created or 'some day'})"

    def push(self, revision: Revision) -> None:
        """Commit a revision as a whole, then tag it: a tag never names half of one."""
        held = self.api.list_repo_files(self.repo_id)
        # Weights and configurations of an earlier revision would be taken for this one's.
        stale = [name for name in held if name not in revision.files and name.endswith((".safetensors", ".json"))]
        commit = self.api.create_commit(
            self.repo_id,
            [
                *(CommitOperationAdd(name, source) for name, source in revision.files.items()),
                *(CommitOperationDelete(name) for name in stale),
            ],
            commit_message=revision.name,
        )
        self.api.create_tag(self.repo_id, tag=revision.name, revision=commit.oid, exist_ok=True)


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


def push_revisions(repository: Repository, revisions: list[Revision]) -> list[str]:
    """Push revisions in their order; each is taken from the list when the repository holds it."""
    if not revisions:
        return []
    pushed: list[str] = []
    tags = patiently(lambda: repository.open(revisions[-1].record, replace_other=True))
    while revisions:
        revision = revisions[0]
        if revision.name not in tags:
            patiently(lambda revision=revision: repository.push(revision))
            pushed.append(revision.name)
        del revisions[0]
    return pushed


def states(record: RunRecord) -> list[RunRecord]:
    """The record as it stood before training and after each finished task."""
    start = [record.until(None)] if record.zero_shot is not None else []
    return start + [record.until(task) for task in record.tasks[: len(record.accuracy)]]


def revision_name(record: RunRecord) -> str:
    """The tag, and the folder, of a record's newest state.

    Raises:
        UserError: Where the task's name can be neither; records from elsewhere are not to be trusted.
    """
    from ..cards.sections import folder_name

    name = folder_name(record)
    if not TAG.fullmatch(name):
        raise UserError(f"{name!r:.80} is no name of a task: it needs 1 to 64 letters, digits, '-' and '_'")
    return name


def unpushed(output: Path, record: RunRecord, repo_id: str, known: set[str]) -> Iterator[Revision]:
    """Every revision of a record that is not among the known names, which it adds to; what cannot be is warned of."""
    for state in states(record):
        name = revision_name(state)
        if name not in known:
            known.add(name)
            try:
                yield prepare(output, state, repo_id)
            except Exception as error:  # whatever it is, training must go on
                logger.warning("%s cannot be pushed: %s", name, explain(error))


def same_run(one: RunRecord, other: RunRecord) -> bool:
    """Whether two records are states of one run: begun together, and with the same numbers as far as both go."""
    first, second = ([r.created, r.method, r.model, r.tasks, r.seed] for r in (one, other))
    rows = ([r.zero_shot, *r.accuracy] if r.zero_shot is not None else [] for r in (one, other))
    return first == second and all(a == b for a, b in zip(*rows, strict=False))


def prepare(output: Path, record: RunRecord, repo_id: str) -> Revision:
    """All files of the newest state of a record.

    Raises:
        UserError: Where its checkpoint is gone.
    """
    from ..cards import save_card

    name, count = revision_name(record), len(record.accuracy)
    folder, files = output / name, {}
    if folder.is_dir():
        files = {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*")) if file.is_file()}
    elif count and record.trainable_parameters != 0:
        raise UserError(f"its checkpoint is not in {output}")
    else:
        base = {"base_model": record.model, "revision": record.recipe.get("model_revision")}
        files = {"base_model.json": json.dumps(base, indent=2).encode()}
    # The card names the repository that it is in, whatever the recipe says.
    shown = replace(record, recipe={**record.recipe, "hub_model_id": repo_id})
    of_task = record.tasks[count - 1] if count and not record.finished else None
    with TemporaryDirectory() as scratch:
        record.save(Path(scratch, RECORD))
        save_card(shown, scratch, of_task)
        files |= {file.name: file.read_bytes() for file in Path(scratch).iterdir()}
    if (output / RECIPE).exists():
        files[RECIPE] = (output / RECIPE).read_bytes()
    return Revision(name, record, files)
