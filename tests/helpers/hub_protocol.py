"""What the loopback Hub answers: repositories, large files, commits, branches, tags, and reading.

Written after the calls that `huggingface_hub` 2.4 makes; nothing else is supported.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

TOKEN = "hf_loopbackWriteToken0123456789"
READ_TOKEN = "hf_loopbackReadToken0123456789"


@dataclass
class Repo:
    private: bool
    commits: dict[str, dict[str, str]] = field(default_factory=dict)  # commit -> {path: sha256 of the content}
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    logs: dict[str, list[str]] = field(default_factory=dict)  # messages of the commits to a branch, oldest first
    lfs: set[str] = field(default_factory=set)  # SHA-256 of what is stored as a large file

    def find(self, revision: str) -> str | None:
        return (
            self.branches.get(revision) or self.tags.get(revision) or (revision in self.commits and revision) or None
        )

    @property
    def log(self) -> list[str]:
        return self.logs["main"]

    def commit(self, files: dict[str, str], message: str, branch: str = "main") -> str:
        content = json.dumps([files, message, branch, len(self.commits)])
        oid = hashlib.sha1(content.encode()).hexdigest()
        self.commits[oid], self.branches[branch] = files, oid
        self.logs.setdefault(branch, []).append(message)
        return oid


class Problem(Exception):
    def __init__(self, status: int, code: str = "", **content: Any):
        self.status, self.code, self.content = status, code, content


class Store(Protocol):
    """What the answers are made from."""

    url: str
    folder: Path
    repos: dict[str, Repo]

    def store(self, content: bytes) -> str: ...


class Answers:
    """Answers to calls; `command`, `path` and `headers` are those of the request."""

    hub: Store
    command: str
    path: str
    headers: Any

    # Who asks, and for what

    def _token(self) -> str | None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ") or None
        if token not in (None, TOKEN, READ_TOKEN):
            raise Problem(401, error="Invalid credentials in Authorization header")
        return token

    def _repo(self, repo_id: str, write: bool = False) -> Repo:
        token, repo = self._token(), self.hub.repos.get(repo_id)
        if repo is None or (repo.private and token is None):
            raise Problem(404 if token else 401, "RepoNotFound")
        if write and token != TOKEN:
            raise Problem(403 if token else 401)
        return repo

    def _commit(self, repo: Repo, revision: str) -> str:
        commit = repo.find(revision)
        if commit is None:
            raise Problem(404, "RevisionNotFound")
        return commit

    def answer(self, body: bytes) -> Any:
        for method, pattern, call in ROUTES:
            match = re.fullmatch(pattern, self.path)
            if match and self.command in method.split("|"):
                return call(self, body, *match.groups())
        raise Problem(404, error=f"{self.command} {self.path} is not supported")

    def whoami(self, body: bytes) -> Any:
        if self._token() is None:
            raise Problem(401)
        return {"name": "me", "type": "user", "auth": {"type": "access_token"}}

    def create(self, body: bytes) -> Any:
        values = json.loads(body)
        if (token := self._token()) != TOKEN or values.get("organization") not in (None, "me", "team"):
            raise Problem(403 if token else 401)
        repo_id = f"{values.get('organization') or 'me'}/{values['name']}"
        url = f"{self.hub.url}/{repo_id}"
        if repo_id in self.hub.repos:
            raise Problem(409, url=url)
        repo = self.hub.repos[repo_id] = Repo(private=values.get("visibility") == "private")
        repo.commit({".gitattributes": self.hub.store(b"*.safetensors filter=lfs\n")}, "initial commit")
        return {"url": url, "name": repo_id, "id": repo_id}

    def delete(self, body: bytes) -> Any:
        values = json.loads(body)
        repo_id = f"{values.get('organization') or 'me'}/{values['name']}"
        self._repo(repo_id, write=True)
        del self.hub.repos[repo_id]
        return {}

    def validate_yaml(self, body: bytes) -> Any:
        return {"errors": [], "warnings": []}

    # Writing

    def preupload(self, body: bytes, repo_id: str, revision: str) -> Any:
        repo = self._repo(repo_id, write=True)
        held = repo.commits[self._commit(repo, revision)]
        files = []
        for file in json.loads(body)["files"]:
            large = file["path"].endswith((".safetensors", ".bin")) or file["size"] > 10_000_000
            sha = held.get(file["path"])
            oid = sha and (sha if sha in repo.lfs else git_sha((self.hub.folder / sha).read_bytes()))
            entry = {"path": file["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
            files.append(entry | ({"oid": oid} if oid else {}))
        return {"files": files}

    def lfs_batch(self, body: bytes, repo_id: str) -> Any:
        self._repo(repo_id, write=True)
        objects = []
        for entry in json.loads(body)["objects"]:
            url = f"{self.hub.url}/lfs/{repo_id}/{entry['oid']}"
            stored = (self.hub.folder / entry["oid"]).exists()
            actions = {"upload": {"href": url}, "verify": {"href": f"{url}/verify"}}
            objects.append({"oid": entry["oid"], "size": entry["size"]} | ({} if stored else {"actions": actions}))
        return {"transfer": "basic", "objects": objects}

    def lfs_put(self, body: bytes, repo_id: str, oid: str) -> Any:
        if hashlib.sha256(body).hexdigest() != oid:
            raise Problem(400, error="the content does not have its name's hash")
        self.hub.store(body)
        return {}

    def lfs_verify(self, body: bytes, repo_id: str, oid: str) -> Any:
        self._repo(repo_id, write=True)
        if not (self.hub.folder / oid).exists():
            raise Problem(404)
        return {}

    def commit(self, body: bytes, repo_id: str, revision: str) -> Any:
        repo = self._repo(repo_id, write=True)
        files = dict(repo.commits[self._commit(repo, revision)])
        message = ""
        for line in body.splitlines():
            key, value = (entry := json.loads(line))["key"], entry["value"]
            if key == "header":
                message = value["summary"]
            elif key == "file":
                files[value["path"]] = self.hub.store(base64.b64decode(value["content"]))
            elif key == "lfsFile":
                if not (self.hub.folder / value["oid"]).exists():
                    raise Problem(400, error=f"{value['path']} was not uploaded")
                files[value["path"]] = value["oid"]
                repo.lfs.add(value["oid"])
            elif key == "deletedFile":
                del files[value["path"]]
            elif key == "deletedFolder":
                folder = value["path"].rstrip("/") + "/"
                files = {path: sha for path, sha in files.items() if not path.startswith(folder)}
        oid = repo.commit(files, message, revision)
        url = f"{self.hub.url}/{repo_id}/commit/{oid}"
        return {"success": True, "commitOid": oid, "commitUrl": url, "pullRequestUrl": None, "hookOutput": ""}

    def tag(self, body: bytes, repo_id: str, revision: str) -> Any:
        repo = self._repo(repo_id, write=True)
        if self.command == "DELETE":
            if repo.tags.pop(revision, None) is None:
                raise Problem(404, "RevisionNotFound")
            return {}
        name = json.loads(body)["tag"]
        if name in repo.tags:
            raise Problem(409)
        repo.tags[name] = self._commit(repo, revision)
        return {}

    def branch(self, body: bytes, repo_id: str, name: str) -> Any:
        repo = self._repo(repo_id, write=True)
        if self.command == "DELETE":
            if name == "main" or repo.branches.pop(name, None) is None:
                raise Problem(404, "RevisionNotFound")
            return {}
        if name in repo.branches:
            raise Problem(409)
        repo.branches[name] = self._commit(repo, (json.loads(body) if body else {}).get("startingPoint", "main"))
        return {}

    # Reading

    def refs(self, body: bytes, repo_id: str) -> Any:
        repo = self._repo(repo_id)
        kinds = {"branches": (repo.branches, "heads"), "tags": (repo.tags, "tags")}
        listed = {
            kind: [{"name": n, "ref": f"refs/{place}/{n}", "targetCommit": c} for n, c in refs.items()]
            for kind, (refs, place) in kinds.items()
        }
        return {**listed, "converts": []}

    def info(self, body: bytes, repo_id: str, revision: str | None = None) -> Any:
        repo = self._repo(repo_id)
        commit = self._commit(repo, revision or "main")
        return {
            "_id": "0", "id": repo_id, "modelId": repo_id, "sha": commit, "private": repo.private, "tags": [],
            "downloads": 0, "likes": 0, "siblings": [{"rfilename": path} for path in sorted(repo.commits[commit])],
        }  # fmt: skip

    def tree(self, body: bytes, repo_id: str, revision: str, folder: str | None = None) -> Any:
        repo = self._repo(repo_id)
        files = repo.commits[self._commit(repo, revision)]
        found = []
        for path, sha in sorted(files.items()):
            if folder and not path.startswith(folder + "/"):
                continue
            content = (self.hub.folder / sha).read_bytes()
            lfs = {"lfs": {"oid": sha, "size": len(content), "pointerSize": 130}} if sha in repo.lfs else {}
            found.append({"type": "file", "path": path, "size": len(content), "oid": git_sha(content), **lfs})
        if folder and not found:
            raise Problem(404, "EntryNotFound")
        return found

    def resolve(self, body: bytes, repo_id: str, revision: str, path: str) -> Any:
        repo = self._repo(repo_id)
        commit = self._commit(repo, revision)
        if path not in repo.commits[commit]:
            raise Problem(404, "EntryNotFound")
        sha = repo.commits[commit][path]
        return commit, sha, sha in repo.lfs


def git_sha(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


_ID, _REV = r"([\w.-]+/[\w.-]+)", r"([^/]+)"
ROUTES = [
    ("GET", r"/api/whoami-v2", Answers.whoami),
    ("POST", r"/api/repos/create", Answers.create),
    ("DELETE", r"/api/repos/delete", Answers.delete),
    ("POST", r"/api/validate-yaml", Answers.validate_yaml),
    ("POST", rf"/api/models/{_ID}/preupload/{_REV}", Answers.preupload),
    ("POST", rf"/{_ID}\.git/info/lfs/objects/batch", Answers.lfs_batch),
    ("PUT", rf"/lfs/{_ID}/(\w+)", Answers.lfs_put),
    ("POST", rf"/lfs/{_ID}/(\w+)/verify", Answers.lfs_verify),
    ("POST", rf"/api/models/{_ID}/commit/{_REV}", Answers.commit),
    ("POST|DELETE", rf"/api/models/{_ID}/tag/{_REV}", Answers.tag),
    ("POST|DELETE", rf"/api/models/{_ID}/branch/{_REV}", Answers.branch),
    ("GET", rf"/api/models/{_ID}/refs", Answers.refs),
    ("GET", rf"/api/models/{_ID}", Answers.info),
    ("GET", rf"/api/models/{_ID}/revision/{_REV}", Answers.info),
    ("GET", rf"/api/models/{_ID}/tree/{_REV}", Answers.tree),
    ("GET", rf"/api/models/{_ID}/tree/{_REV}/(.+)", Answers.tree),
    ("GET|HEAD", rf"/{_ID}/resolve/{_REV}/(.+)", Answers.resolve),
]
