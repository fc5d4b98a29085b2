"""Hub repository of a stream: ownership checks and atomic commits of revisions."""

from __future__ import annotations

from functools import partial

from huggingface_hub import CommitOperationAdd, CommitOperationDelete

from ..config.hub_values import hub_problems
from ..record.run_record import RunRecord
from ..utils.errors import RecipeError, UserError
from ..utils.names import RECORD, TAG
from ..utils.required import required
from .checkpoints import BRANCH, Checkpoint, checkpoints_among, portable
from .client import OWNERS, hub_api, status_of, with_retries
from .revisions import Revision, same_run


class Repository:
    """The model repository of one stream.

    Args:
        repo_id (`str`): `owner/name`.
        private (`bool`, *optional*): Whether to create it as private; by default as the owner's settings say.
        overwrite (`bool`, defaults to `False`): Whether to replace the revisions of a different run.
        token (`str`, *optional*): Token with write access; by default `HF_TOKEN` or the login.
        keep_checkpoints (`bool`, defaults to `False`): Whether to keep all checkpoints within tasks.
    """

    def __init__(
        self,
        repo_id: str | None,
        private: bool | None = None,
        overwrite: bool = False,
        token: str | None = None,
        keep_checkpoints: bool = False,
    ):
        if problems := hub_problems(True, repo_id):
            raise RecipeError(problems, "the values for the Hub")
        self.repo_id = required(repo_id, "hub_model_id")
        self.private, self.overwrite, self.api = private, overwrite, hub_api(token)
        self.keep_checkpoints = keep_checkpoints
        self.tags: set[str] = set()
        self.checkpoints: list[Checkpoint] = []

    def open(self, record: RunRecord, replace_other: bool = False) -> set[str]:
        """Create the repository if it does not exist, and return the revisions of this run in it.

        Args:
            record (`RunRecord`): The run.
            replace_other (`bool`, defaults to `False`): Whether to delete the tags of a run that may be overwritten.

        Raises:
            UserError: If the repository belongs to something else.
        """
        self.api.create_repo(self.repo_id, private=self.private, exist_ok=True)
        info = self.api.model_info(self.repo_id)
        refs = self.api.list_repo_refs(self.repo_id)
        tags = {ref.name for ref in refs.tags if TAG.fullmatch(ref.name)}
        has_branch = any(ref.name == BRANCH for ref in refs.branches)
        files = {file.rfilename for file in info.siblings or []}
        other = self._other_run(record, info.sha, files)
        if other and not self.overwrite:
            raise UserError(
                f"{self.repo_id} contains {other}. Choose another repository with --hub_model_id, resume the other "
                f"run with --resume_from_hub {self.repo_id} and a new --output_dir, or replace it with "
                "--hub_overwrite"
            )
        if other and replace_other:
            for tag in tags:
                self.api.delete_tag(self.repo_id, tag=tag)
            if has_branch:
                self._remove_branch()
        self.tags = set() if other else tags
        held = self.api.list_repo_files(self.repo_id, revision=BRANCH) if has_branch and not other else []
        self.checkpoints = checkpoints_among(held)
        return set(self.tags)

    def _other_run(self, record: RunRecord, commit: str | None, files: set[str]) -> str | None:
        """Describe the content of the repository, or return `None` if it is this run."""
        if RECORD not in files:
            foreign = sorted(files - OWNERS)
            return f"{foreign[0]} and no {RECORD}, so it was not pushed by hf_clcl" if foreign else None
        try:
            # By commit, since a branch could come from the cache.
            held = RunRecord.load(self.api.hf_hub_download(self.repo_id, RECORD, revision=commit))
        except UserError:
            return f"a {RECORD} that cannot be read"
        if same_run(record, held):
            return None
        done = f"{len(held.accuracy)} of {len(held.tasks)} tasks"
        return f"a different run ({held.method}, {done}, started {held.created or 'at an unknown time'})"

    def push(self, revision: Revision) -> None:
        """Push a revision in one commit, then tag it, so that a tag never names a partial revision."""
        held = self.api.list_repo_files(self.repo_id)
        # Weights and configurations of an earlier revision would be loaded with this one.
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
        self.tags.add(revision.name)

    def push_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Push a checkpoint in one commit to its branch, where it replaces the previous one."""
        files = portable(checkpoint)
        self.api.create_branch(self.repo_id, branch=BRANCH, exist_ok=True)
        held = self.api.list_repo_files(self.repo_id, revision=BRANCH)
        kept = [name for name in held if self.keep_checkpoints and checkpoints_among([name])]
        self.api.create_commit(
            self.repo_id,
            [
                *(CommitOperationAdd(name, file) for name, file in files.items()),
                # The branch starts as a copy of `main`, whose files would become outdated.
                *(CommitOperationDelete(name) for name in held if name not in {*files, *kept, ".gitattributes"}),
            ],
            commit_message=checkpoint.path,
            revision=BRANCH,
        )
        self.checkpoints = checkpoints_among([*files, *kept])

    def remove_finished_checkpoints(self) -> None:
        """Delete the branch of checkpoints when their tasks are finished, unless all are kept."""
        if self.checkpoints and not self.keep_checkpoints and {c.task for c in self.checkpoints} <= self.tags:
            self._remove_branch()

    def _remove_branch(self) -> None:
        try:
            self.api.delete_branch(self.repo_id, branch=BRANCH)
        except Exception as error:
            if status_of(error) != 404:  # 404: an earlier attempt deleted it, and the response was lost
                raise
        self.checkpoints = []


def push_revisions(repository: Repository, revisions: list[Revision]) -> list[str]:
    """Push revisions in order.

    Args:
        repository (`Repository`): The repository.
        revisions (`list[Revision]`): The queue; pushed ones are removed from it.

    Returns:
        `list[str]`: Names of the pushed revisions.
    """
    pushed: list[str] = []
    if revisions:
        with_retries(lambda: repository.open(revisions[-1].record, replace_other=True))
    while revisions:
        revision = revisions[0]
        if revision.name not in repository.tags:
            with_retries(partial(repository.push, revision))
            pushed.append(revision.name)
        del revisions[0]
    with_retries(repository.remove_finished_checkpoints)
    return pushed
