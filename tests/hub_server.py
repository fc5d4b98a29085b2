"""A Hub on this machine: it speaks the protocol of huggingface.co to the real client, with faults on demand.

Contents lie on the local disk under their SHA-256, commits and refs in memory. What it answers was written after the
calls that `huggingface_hub` 2.4 makes; nothing else is supported.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_loopbackWriteToken0123456789"
READ_TOKEN = "hf_loopbackReadToken0123456789"


@dataclass
class Fault:
    """What goes wrong at the next calls that match.

    Args:
        method (`str`): HTTP method, as a regular expression.
        path (`str`): Part of the path, as a regular expression.
        status (`int`, *optional*): Status to answer with, before anything is done.
        headers (`dict`): Headers of that answer.
        drop (`str`, *optional*): Drop the connection `before` anything is done, in the `middle` of the content that is
            sent or received, or `after` all is done and before the answer.
        times (`int`): How often.
    """

    method: str
    path: str
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    drop: str | None = None
    times: int = 1


@dataclass
class Repo:
    private: bool
    commits: dict[str, dict[str, str]] = field(default_factory=dict)  # commit -> {path: sha256 of the content}
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)  # messages of the commits, oldest first
    lfs: set[str] = field(default_factory=set)  # SHA-256 of what is stored as a large file

    def find(self, revision: str) -> str | None:
        return (
            self.branches.get(revision) or self.tags.get(revision) or (revision in self.commits and revision) or None
        )

    def commit(self, files: dict[str, str], message: str, branch: str = "main") -> str:
        content = json.dumps([files, message, len(self.log)])
        oid = hashlib.sha1(content.encode()).hexdigest()
        self.commits[oid], self.branches[branch] = files, oid
        self.log.append(message)
        return oid


class LoopbackHub:
    """The server and what it stores; `url` is its address, `requests` what it was asked for."""

    handler: type[BaseHTTPRequestHandler]

    def __init__(self, folder: Path):
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.repos: dict[str, Repo] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self.lock = threading.RLock()
        self.server: ThreadingHTTPServer | None = None
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, or start again with what is stored and on the same port."""
        handler = type("Handler", (self.handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        server, self.server = self.server, None
        server.shutdown()
        server.server_close()

    def fault(self, method: str, path: str, status: int | None = None, **values: Any) -> Fault:
        self.faults.append(Fault(method, path, status, **values))
        return self.faults[-1]

    def next_fault(self, method: str, path: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and re.fullmatch(fault.method, method) and re.search(fault.path, path):
                    fault.times -= 1
                    return fault
        return None

    def store(self, content: bytes) -> str:
        name = hashlib.sha256(content).hexdigest()
        partial = self.folder / f"{name}.{threading.get_ident()}"
        partial.write_bytes(content)
        partial.replace(self.folder / name)
        return name

    def read(self, repo_id: str, path: str, revision: str = "main") -> bytes:
        repo = self.repos[repo_id]
        return (self.folder / repo.commits[repo.find(revision)][path]).read_bytes()


class _Problem(Exception):
    def __init__(self, status: int, code: str = "", **content: Any):
        self.status, self.code, self.content = status, code, content


class _Handler(BaseHTTPRequestHandler):
    hub: LoopbackHub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # an answer has a head and a body, and would wait 40 ms between the two

    def log_message(self, *args: Any) -> None:
        """Silent."""

    def _serve(self) -> None:
        self.path = unquote(urlsplit(self.path).path)
        with self.hub.lock:
            self.hub.requests.append((self.command, self.path))
        if self.hub.server is not self.server:  # a connection that outlived the server
            return self._drop()
        fault = self.hub.next_fault(self.command, self.path)
        self.dropping = fault.drop if fault else None
        if self.dropping == "before":
            return self._drop()
        body = self._body()
        if body is None:
            return self._drop()
        try:
            if fault and fault.status:
                return self._answer({"error": "fault"}, fault.status, fault.headers)
            with self.hub.lock:
                content = self._route(body)
        except _Problem as problem:
            headers = {"X-Error-Code": problem.code} if problem.code else {}
            return self._answer({"error": problem.code, **problem.content}, problem.status, headers)
        if self.dropping == "after":
            return self._drop()
        if isinstance(content, tuple):
            return self._file(*content)
        return self._answer(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve

    def _body(self) -> bytes | None:
        """The content of the request; `None` where the connection is to be dropped in its middle."""
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
                if self.dropping == "middle":
                    return None
            self.rfile.readline()
            return b"".join(parts)
        size = int(self.headers.get("Content-Length", 0))
        if self.dropping == "middle" and size:
            self.rfile.read(size // 2)
            return None
        return self.rfile.read(size)

    def _drop(self) -> None:
        self.close_connection = True
        self.connection.shutdown(2)

    def _answer(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": len(body),
            **(headers or {}),
        }.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _file(self, commit: str, sha: str, large: bool) -> None:
        content = (self.hub.folder / sha).read_bytes()
        start = int(m.group(1)) if (m := re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))) else 0
        self.send_response(206 if start else 200)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("ETag", f'"{sha if large else _git_sha(content)}"')
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if large:
            self.send_header("X-Linked-ETag", f'"{sha}"')
            self.send_header("X-Linked-Size", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.dropping == "middle":
            self.wfile.write(content[start : start + (len(content) - start) // 2])
            self.wfile.flush()
            self._drop()
        else:
            self.wfile.write(content[start:])

    # Who asks, and for what

    def _token(self) -> str | None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ") or None
        if token not in (None, TOKEN, READ_TOKEN):
            raise _Problem(401, error="Invalid credentials in Authorization header")
        return token

    def _repo(self, repo_id: str, write: bool = False) -> Repo:
        token, repo = self._token(), self.hub.repos.get(repo_id)
        if repo is None or (repo.private and token is None):
            raise _Problem(404 if token else 401, "RepoNotFound")
        if write and token != TOKEN:
            raise _Problem(403 if token else 401)
        return repo

    def _commit(self, repo: Repo, revision: str) -> str:
        commit = repo.find(revision)
        if commit is None:
            raise _Problem(404, "RevisionNotFound")
        return commit

    def _route(self, body: bytes) -> Any:
        for method, pattern, call in _ROUTES:
            match = re.fullmatch(pattern, self.path)
            if match and self.command in method.split("|"):
                return call(self, body, *match.groups())
        raise _Problem(404, error=f"{self.command} {self.path} is not supported")

    def whoami(self, body: bytes) -> Any:
        if self._token() is None:
            raise _Problem(401)
        return {"name": "me", "type": "user", "auth": {"type": "access_token"}}

    def create(self, body: bytes) -> Any:
        values = json.loads(body)
        if (token := self._token()) != TOKEN or values.get("organization") not in (None, "me", "team"):
            raise _Problem(403 if token else 401)
        repo_id = f"{values.get('organization') or 'me'}/{values['name']}"
        url = f"{self.hub.url}/{repo_id}"
        if repo_id in self.hub.repos:
            raise _Problem(409, url=url)
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
            oid = sha and (sha if sha in repo.lfs else _git_sha((self.hub.folder / sha).read_bytes()))
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
            raise _Problem(400, error="the content does not have its name's hash")
        self.hub.store(body)
        return {}

    def lfs_verify(self, body: bytes, repo_id: str, oid: str) -> Any:
        self._repo(repo_id, write=True)
        if not (self.hub.folder / oid).exists():
            raise _Problem(404)
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
                    raise _Problem(400, error=f"{value['path']} was not uploaded")
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
                raise _Problem(404, "RevisionNotFound")
            return {}
        name = json.loads(body)["tag"]
        if name in repo.tags:
            raise _Problem(409)
        repo.tags[name] = self._commit(repo, revision)
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
            found.append({"type": "file", "path": path, "size": len(content), "oid": _git_sha(content), **lfs})
        if folder and not found:
            raise _Problem(404, "EntryNotFound")
        return found

    def resolve(self, body: bytes, repo_id: str, revision: str, path: str) -> Any:
        repo = self._repo(repo_id)
        commit = self._commit(repo, revision)
        if path not in repo.commits[commit]:
            raise _Problem(404, "EntryNotFound")
        sha = repo.commits[commit][path]
        return commit, sha, sha in repo.lfs


def _git_sha(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


_ID, _REV = r"([\w.-]+/[\w.-]+)", r"([^/]+)"
_ROUTES = [
    ("GET", r"/api/whoami-v2", _Handler.whoami),
    ("POST", r"/api/repos/create", _Handler.create),
    ("DELETE", r"/api/repos/delete", _Handler.delete),
    ("POST", r"/api/validate-yaml", _Handler.validate_yaml),
    ("POST", rf"/api/models/{_ID}/preupload/{_REV}", _Handler.preupload),
    ("POST", rf"/{_ID}\.git/info/lfs/objects/batch", _Handler.lfs_batch),
    ("PUT", rf"/lfs/{_ID}/(\w+)", _Handler.lfs_put),
    ("POST", rf"/lfs/{_ID}/(\w+)/verify", _Handler.lfs_verify),
    ("POST", rf"/api/models/{_ID}/commit/{_REV}", _Handler.commit),
    ("POST|DELETE", rf"/api/models/{_ID}/tag/{_REV}", _Handler.tag),
    ("GET", rf"/api/models/{_ID}/refs", _Handler.refs),
    ("GET", rf"/api/models/{_ID}", _Handler.info),
    ("GET", rf"/api/models/{_ID}/revision/{_REV}", _Handler.info),
    ("GET", rf"/api/models/{_ID}/tree/{_REV}", _Handler.tree),
    ("GET", rf"/api/models/{_ID}/tree/{_REV}/(.+)", _Handler.tree),
    ("GET|HEAD", rf"/{_ID}/resolve/{_REV}/(.+)", _Handler.resolve),
]
LoopbackHub.handler = _Handler
