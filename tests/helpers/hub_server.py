"""A Hub on this machine: it speaks the protocol of huggingface.co to the real client, with faults on demand.

Contents lie on the local disk under their SHA-256, commits and refs in memory.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from helpers.hub_protocol import Answers, Problem, Repo, git_sha


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


class LoopbackHub:
    """The server and what it stores; `url` is its address, `requests` what it was asked for."""

    handler: type[Handler]

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


class Handler(Answers, BaseHTTPRequestHandler):
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
                content = self.answer(body)
        except Problem as problem:
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
        self.send_header("ETag", f'"{sha if large else git_sha(content)}"')
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


LoopbackHub.handler = Handler
