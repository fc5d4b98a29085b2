"""Fingerprints of data, to check that a resumed run sees the same data as before.

They do not depend on the machine, or on paths and dates of files. They cover the number of rows, the class names, all
labels and captions, and a sample of the images.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ..utils.required import required

if TYPE_CHECKING:
    from datasets import Dataset

    from .task import Task

SAMPLED = 32
"""Number of images of a split whose content is compared."""

SIZED = 10_000
"""Number of images of a split whose file size is compared, if they are files."""

_PNG = b"\x89PNG"


def fingerprint(task: Task) -> dict[str, str]:
    """Fingerprint of the data of a task, part by part."""
    parts = {"classes": _digest([json.dumps(task.class_names or [])])}
    for split, rows in (("train", task.train), ("test", task.test)):
        if rows is None:
            continue
        parts[f"{split} rows"] = str(len(rows))
        if task.label_column is not None:
            parts[f"{split} labels"] = _digest([task.labels(split).astype("<i8").tobytes()])
        if task.caption_column is not None:
            parts[f"{split} captions"] = of_texts(task.captions(split)[0])
        if task.video_column is not None:
            parts[f"{split} videos"] = of_texts(map(str, rows[task.video_column]))
        elif not (task.source or "").startswith("rendered:"):  # rendered images follow from the code
            parts[f"{split} images"] = of_images(
                rows, required(task.image_column, f"image_column of task {task.name}")
            )
    return parts


def of_reference(images: Dataset | None, column: str | None, texts: Sequence[str] | None) -> dict[str, str]:
    """Fingerprint of the reference images and texts, part by part."""
    parts: dict[str, str] = {}
    if images is not None:
        content = of_images(images, required(column, "column of the reference images"))
        parts |= {"images": str(len(images)), "their content": content}
    if texts is not None:
        parts |= {"texts": str(len(texts)), "their words": of_texts(texts)}
    return parts


def of_texts(texts: Iterable[str]) -> str:
    """Fingerprint of texts in their order."""
    return _digest(json.dumps(text) for text in texts)


def of_images(rows: Dataset, column: str) -> str:
    """Fingerprint of images: the content of a sample, and file sizes of a larger sample."""
    from datasets import Image as ImageFeature

    stored = rows.select_columns([column]).cast_column(column, ImageFeature(decode=False))
    cells = stored[_spread(len(rows), SAMPLED)][column]
    sizes = []
    if cells and not (cells[0] or {}).get("bytes"):
        paths = [(cell or {}).get("path") for cell in stored[_spread(len(rows), SIZED)][column]]
        sizes = [str(Path(path).stat().st_size if path and Path(path).is_file() else None) for path in paths]
    return _digest([*map(_content, cells), *sizes])


def changes(before: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Differences between two sets of fingerprints, one line each. Only parts that are in both are compared."""
    differences = []
    for name in before.keys() & now.keys():
        for part in before[name].keys() & now[name].keys():
            was, is_now = before[name][part], now[name][part]
            if was != is_now:
                counts = f": {was} before, {is_now} now" if was.isdigit() and is_now.isdigit() else " are not the same"
                differences.append(f"{name}: {part}{counts}")
    return sorted(differences)


def _spread(count: int, most: int) -> list[int]:
    """Up to `most` row numbers, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)).tolist()


def _content(cell: dict[str, Any] | None) -> bytes:
    """Stored bytes of an image; of PNG the decoded pixels, since its compression differs between machines."""
    content = (cell or {}).get("bytes")
    if content is None:
        path = Path((cell or {}).get("path") or "")
        content = path.read_bytes() if path.is_file() else b""
    if content.startswith(_PNG):
        try:
            with Image.open(io.BytesIO(content)) as image:
                return f"{image.mode} {image.size}".encode() + image.tobytes()
        except (OSError, ValueError, SyntaxError):  # a broken image is reported when it is loaded
            return content
    return content


def _digest(parts: Iterable[str | bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()[:16]
