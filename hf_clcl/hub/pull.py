"""Pull a stream from the Hub: its tasks, record and checkpoints. File names from the Hub are not trusted."""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from huggingface_hub import HfApi

from ..record.run_record import RunRecord
from ..utils.errors import UserError
from ..utils.files import replace_folder, whole_folder
from ..utils.names import RECIPE, RECORD, TAG
from .checkpoints import BRANCH, checkpoints_among, last_checkpoint, newest, running_task
from .client import OWNERS, explain, hub_api, with_retries
from .revisions import revision_name, same_run

logger = logging.getLogger(__name__)

# Files about the whole run; all others belong to the checkpoint of one task.
RUN_FILES = (RECORD, RECIPE, "README.md", "matrix.png", "matrix.svg", "curves.png", "curves.svg", "base_model.json")

# A part of a path must begin with a letter, digit, `_` or `-`: no parent folder, no absolute path, no hidden file.
_SAFE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*")
_SUFFIXES = {
    ".safetensors",
    ".json",
    ".txt",
    ".jinja",
    ".md",
    ".yaml",
    ".png",
    ".svg",
}  # none can run code when loaded


def list_tasks(repo_id: str, token: str | None = None) -> list[str]:
    """List the revisions of a stream in order, from `task-00-zero-shot` to the newest task.

    Args:
        repo_id (`str`): The repository, `owner/name`.
        token (`str`, *optional*): Token for a private repository; by default `HF_TOKEN` or the login.

    Raises:
        UserError: If the repository cannot be read.
    """
    with _reading(repo_id):
        refs = with_retries(lambda: hub_api(token).list_repo_refs(repo_id))
    return sorted((ref.name for ref in refs.tags if TAG.fullmatch(ref.name)), key=lambda tag: int(tag.split("-")[1]))


def list_checkpoints(repo_id: str, token: str | None = None) -> list[str]:
    """List the checkpoints within tasks, such as `checkpoints/task-03-cifar100/checkpoint-200`."""
    with _reading(repo_id):
        snapshot = _in_progress(hub_api(token), repo_id)
        return [checkpoint.path for checkpoint in checkpoints_among(snapshot.files)] if snapshot else []


def pull_record(repo_id: str, task: str | None = None, token: str | None = None) -> RunRecord:
    """Download the record of a stream after a task, by default the newest one; for the arguments see [`pull_task`]."""
    revision = _revision(repo_id, task, token)
    with _reading(repo_id):
        return RunRecord.load(_Snapshot(hub_api(token), repo_id, revision).cached(RECORD))


def pull_task(repo_id: str, task: str, output_dir: str | Path | None = None, token: str | None = None) -> Path:
    """Download the checkpoint of a task.

    Args:
        repo_id (`str`): The repository, `owner/name`.
        task (`str`): The task's name or its revision, such as `cifar100` or `task-03-cifar100`.
        output_dir (`str` or `Path`, *optional*): Parent of the new folder; by default the cache of `huggingface_hub`.
        token (`str`, *optional*): Token for a private repository; by default `HF_TOKEN` or the login.

    Returns:
        `Path`: The folder of the checkpoint, for `AutoModel.from_pretrained`.

    Raises:
        UserError: If the repository or the task cannot be downloaded; no partial folder is left.
    """
    revision = _revision(repo_id, task, token)
    with _reading(repo_id):
        snapshot = _Snapshot(hub_api(token), repo_id, revision)
        names = snapshot.checkpoint()
        if output_dir is None:
            return [Path(snapshot.cached(name)).parents[name.count("/")] for name in names][0]
        folder = Path(output_dir, revision)
        with whole_folder(folder) as partial:
            for name in names:
                snapshot.fetch(name, partial)
        return folder


def pull_run(
    repo_id: str,
    output_dir: str | Path,
    task: str | None = None,
    all_tasks: bool = False,
    token: str | None = None,
) -> RunRecord:
    """Download a stream so that a run in `output_dir` can resume from it; existing files are kept.

    With the newest task, the newest checkpoint within the next task is downloaded too, if there is one.

    Args:
        repo_id (`str`): The repository, `owner/name`.
        output_dir (`str` or `Path`): The folder of the run; created if it does not exist.
        task (`str`, *optional*): Download the state after this task instead of the newest one.
        all_tasks (`bool`, defaults to `False`): Download the checkpoints of earlier tasks too.
        token (`str`, *optional*): Token for a private repository; by default `HF_TOKEN` or the login.

    Returns:
        `RunRecord`: The record in the folder.

    Raises:
        UserError: If the folder or the repository contains something else, or the download fails.
    """
    output, revision = Path(output_dir), _revision(repo_id, task, token)
    with _reading(repo_id):
        record = _pull_finished(repo_id, output, revision, all_tasks, token)
        if task is None:
            _pull_checkpoint(hub_api(token), repo_id, output, record)
        return record


def _pull_finished(repo_id: str, output: Path, revision: str, all_tasks: bool, token: str | None) -> RunRecord:
    """Download the state after a task and return the record in the folder."""
    snapshot = _Snapshot(hub_api(token), repo_id, revision)
    record = RunRecord.load(snapshot.cached(RECORD))
    if revision_name(record) != revision:
        raise UserError(
            f"{repo_id}: the {RECORD} of {revision} must be of the same task, got {revision_name(record)!r:.80}"
        )
    if (output / RECORD).exists():
        held = RunRecord.load(output)
        if not same_run(held, record):
            raise UserError(f"{output} contains a different run than {repo_id}; choose another folder")
        if len(held.accuracy) >= len(record.accuracy) and not all_tasks:
            logger.warning("%s already contains %s", output, revision)
            return held
    elif taken := [name for name in RUN_FILES if (output / name).exists()]:
        raise UserError(
            f"{output} contains {taken[0]} and no {RECORD}, so it is not the folder of a run; choose another folder"
        )
    else:
        held = None
    for name in list_tasks(repo_id, token) if all_tasks else [revision]:
        trained = record.trainable_parameters != 0 and 0 < _number(name) <= _number(revision)
        if trained and not (held and (output / name).is_dir()):
            pull_task(repo_id, name, output, token)
    if held and len(held.accuracy) >= len(record.accuracy):
        return held
    output.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=output, prefix=".pull-") as scratch:
        # The record is moved after the checkpoint that it describes, the plots after both.
        for name in filter(snapshot.files.__contains__, RUN_FILES):
            os.replace(snapshot.fetch(name, Path(scratch)), output / name)
    return record


def _pull_checkpoint(api: HfApi, repo_id: str, output: Path, record: RunRecord) -> None:
    """Download the newest checkpoint of the current task, unless the folder has one that is as new."""
    from .plain_state import PLAIN, write_back

    snapshot = _in_progress(api, repo_id)
    latest = newest(checkpoints_among(snapshot.files), running_task(record)) if snapshot else None
    here = last_checkpoint(output, record)
    if snapshot is None or latest is None or (here and here.step >= latest.step):
        return
    with TemporaryDirectory(dir=output, prefix=".pull-") as scratch:
        for name in snapshot.files:
            if name.startswith(latest.path + "/"):
                file = snapshot.fetch(name, Path(scratch))
                if PLAIN.fullmatch(file.name):
                    write_back(file)
        (output / latest.path).parent.mkdir(parents=True, exist_ok=True)
        replace_folder(Path(scratch, latest.path), output / latest.path)


def _in_progress(api: HfApi, repo_id: str) -> _Snapshot | None:
    """The branch with checkpoints, or `None`."""
    branches = with_retries(lambda: api.list_repo_refs(repo_id)).branches
    return _Snapshot(api, repo_id, BRANCH) if any(ref.name == BRANCH for ref in branches) else None


class _Snapshot:
    """The files of one revision."""

    def __init__(self, api: HfApi, repo_id: str, revision: str):
        self.api, self.repo_id, self.revision = api, repo_id, revision
        info = with_retries(lambda: api.model_info(repo_id, revision=revision))
        self.commit, names = info.sha, [file.rfilename for file in info.siblings or []]
        self.files = [n for n in names if _SAFE.fullmatch(n) and PurePosixPath(n).suffix in _SUFFIXES]
        if skipped := sorted(set(names) - {*self.files, *OWNERS}):
            logger.warning("%s: skipped files that are neither safetensors nor text: %.300s", repo_id, skipped)

    def checkpoint(self) -> list[str]:
        """File names of the task's checkpoint.

        Raises:
            UserError: If there are no weights.
        """
        names = [name for name in self.files if name not in RUN_FILES]
        if not any(name.endswith(".safetensors") for name in names):
            raise UserError(f"{self.repo_id}: {self.revision} contains no weights in safetensors")
        return names

    def cached(self, name: str) -> str:
        """Download a file to the cache of `huggingface_hub`."""
        return with_retries(lambda: self.api.hf_hub_download(self.repo_id, name, revision=self.commit))

    def fetch(self, name: str, folder: Path) -> Path:
        """Download a file to a folder."""
        file = with_retries(
            lambda: self.api.hf_hub_download(self.repo_id, name, revision=self.commit, local_dir=folder)
        )
        shutil.rmtree(folder / ".cache", ignore_errors=True)  # metadata of the client
        return Path(file)


def _revision(repo_id: str, task: str | None, token: str | None) -> str:
    """The tag of a task by its name or its tag; the newest one for `None`."""
    tags = list_tasks(repo_id, token)
    matching = [tag for tag in tags if task in (None, tag, tag.split("-", 2)[2])]
    if not matching:
        wanted = f"no task {task!r}" if tags else "no tasks; it was not pushed by hf_clcl"
        raise UserError(f"{repo_id} contains {wanted}" + (f"; it contains {', '.join(tags)}" if tags else ""))
    return matching[-1]


def _number(tag: str) -> int:
    return int(tag.split("-")[1])


@contextmanager
def _reading(repo_id: str) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # the client, its HTTP library and the file system share no base class
        raise UserError(f"{repo_id} cannot be downloaded: {explain(error, repo_id)}") from error
