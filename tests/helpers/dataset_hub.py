"""The datasets of a Hub on this machine, for the real `datasets` library: repositories are folders of files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import datasets
import pytest
from huggingface_hub import constants

from helpers.hub_protocol import READ_TOKEN, Problem, Repo
from helpers.hub_server import Handler, LoopbackHub

ALLOWED = READ_TOKEN
"""The token of somebody who has accepted the terms of gated datasets; others have `hub_protocol.TOKEN`."""


class DatasetHandler(Handler):
    """Answers for datasets what `Handler` answers for models; a dataset is the repository `datasets/owner/name`."""

    def answer(self, body: bytes) -> Any:
        api = self.path.removeprefix("/api/")
        if not api.startswith("datasets/"):
            return super().answer(body) if not self.path.startswith("/datasets/") else self._download()
        _, owner, name, *rest = api.split("/")
        repo_id, call = f"datasets/{owner}/{name}", rest[0] if rest else "revision"
        revision = rest[1] if len(rest) > 1 else "main"
        if call == "revision":
            gated = repo_id in self.hub.gated and "manual"
            return {**self.info(body, repo_id, revision), "id": f"{owner}/{name}", "gated": gated}
        if call == "tree":
            return self.folder(repo_id, revision, "/".join(rest[2:]))
        if call == "paths-info":
            asked = {path.rstrip("/") for path in parse_qs(body.decode())["paths"]}
            parents = {path.rpartition("/")[0] for path in asked}
            return [entry for parent in parents for entry in self.folder(repo_id, revision, parent, strict=False)
                    if entry["path"] in asked]  # fmt: skip
        raise Problem(404, error=f"{self.path} is not supported")

    def _download(self) -> Any:
        _, _, owner, name, _, revision, *path = self.path.split("/")
        repo_id, path = f"datasets/{owner}/{name}", "/".join(path)
        repo = self._repo(repo_id)
        if path != "README.md" and repo_id in self.hub.gated and self._token() != ALLOWED:
            raise Problem(403 if self._token() else 401, "GatedRepo", error=f"Access to {owner}/{name} is restricted")
        self._commit(repo, revision)
        return self.resolve(b"", repo_id, revision, path)

    def folder(self, repo_id: str, revision: str, folder: str, strict: bool = True) -> list[dict[str, Any]]:
        """What lies in a folder, or below it where all is asked for."""
        repo = self._repo(repo_id)
        files = repo.commits[self._commit(repo, revision)]
        prefix = folder + "/" if folder else ""
        below = [path.removeprefix(prefix) for path in sorted(files) if path.startswith(prefix)]
        if strict and not below:
            raise Problem(404, "EntryNotFound")
        found = [{"type": "directory", "path": prefix + name, "oid": "0" * 40, "size": 0}
                 for name in sorted({path.split("/")[0] for path in below if "/" in path})]  # fmt: skip
        for path in below:
            if "/" not in path or self.recursive:
                sha = files[prefix + path]
                size = (self.hub.folder / sha).stat().st_size
                found.append({"type": "file", "path": prefix + path, "size": size, "oid": sha[:40]})
        return found

    @property
    def recursive(self) -> bool:
        return "recursive=true" in self.requestline.lower()


class DatasetHub(LoopbackHub):
    """A Hub with datasets; `gated` are those whose files need the token `ALLOWED`."""

    handler = DatasetHandler

    def __init__(self, folder: Path):
        self.gated: set[str] = set()
        super().__init__(folder)

    def add(self, dataset_id: str, files: dict[str, bytes | Path], gated: bool = False) -> None:
        """Store a dataset; contents that are files stay where they are."""
        repo = self.repos[f"datasets/{dataset_id}"] = Repo(private=False)
        repo.commit({path: self._stored(content) for path, content in files.items()}, "Upload dataset")
        if gated:
            self.gated.add(f"datasets/{dataset_id}")

    def add_folder(self, folder: Path) -> None:
        """Store each `owner/name` below a folder as a dataset."""
        for repository in sorted(folder.glob("*/*")):
            paths = sorted(path for path in repository.rglob("*") if path.is_file())
            self.add(
                "/".join(repository.parts[-2:]), {path.relative_to(repository).as_posix(): path for path in paths}
            )

    def _stored(self, content: bytes | Path) -> str:
        return self.store(content if isinstance(content, bytes) else content.read_bytes())


def connect(patch: pytest.MonkeyPatch, hub: DatasetHub, caches: Path) -> None:
    """Let the libraries, which read at import where the Hub lies, find it here."""
    patch.setattr(constants, "ENDPOINT", hub.url)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    patch.setattr(constants, "HF_HUB_CACHE", str(caches / "hub"))
    patch.setattr(datasets.config, "HF_ENDPOINT", hub.url)
    patch.setattr(datasets.config, "HUB_DATASETS_URL", hub.url + "/datasets/{repo_id}/resolve/{revision}/{path}")
    patch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    patch.setattr(datasets.config, "HF_UPDATE_DOWNLOAD_COUNTS", False)
    patch.setattr(datasets.config, "USE_PARQUET_EXPORT", False)  # a service beside the Hub, of which it is a cache
    patch.setattr(datasets.config, "HF_DATASETS_CACHE", caches / "datasets")
    patch.setattr(datasets.config, "DOWNLOADED_DATASETS_PATH", str(caches / "downloads"))


def card(info: dict[str, Any], configs: list[dict[str, Any]]) -> bytes:
    """A README whose head tells the features and the files of each split, as `push_to_hub` writes it."""
    return b"---\n" + json.dumps({"dataset_info": info, "configs": configs}).encode() + b"\n---\n"
