"""Reading of video clips: find the file, choose the frames, decode them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from PIL import Image, UnidentifiedImageError

from ...utils.errors import DataError, UserError
from ..images.pictures import upright
from ..sources.local import IMAGE_SUFFIXES

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".flv", ".gif")

ADVICE = "Replace or remove it, or set `skip_broken_images: true` in the recipe"


def evenly(count: int, wanted: int) -> list[int]:
    """Indices of the frames at the centres of equal parts of a clip: `floor((2 i + 1) count / (2 wanted))`, part `i`.

    If a clip has fewer frames than parts, some frames are repeated, in order.

    Args:
        count (`int`): Number of frames of the clip.
        wanted (`int`): Number of parts.
    """
    return [(2 * i + 1) * count // (2 * wanted) for i in range(wanted)]


def find_clip(name: str, root: Path, where: str) -> Path | None:
    """Find the file, or the folder of frames, of a clip; `None` if there is none.

    Args:
        name (`str`):
            File name or id of the clip, relative to `root`. The function tries a file or folder of this name, then a
            folder of frames without the suffix, then a video file with another suffix.
        root (`Path`): The user's folder of videos.
        where (`str`): Prefix of error messages.

    Raises:
        DataError: If the path is outside `root`.
    """
    plain = Path(name)
    if not name.strip() or plain.is_absolute() or ".." in plain.parts:
        raise DataError(f"{where}: {name!r} is not a clip in {root}; give a relative path that stays within it")
    stem = without_suffix(plain)
    candidates = [plain, stem, *(stem.parent / (stem.name + suffix) for suffix in VIDEO_SUFFIXES)]
    for candidate in candidates:
        path = root / candidate
        if path.exists():
            if not _is_inside(path, root):
                raise DataError(f"{where}: {path} leads outside {root}; copy the clip into the folder")
            return path
    return None


def _is_inside(path: Path, folder: Path) -> bool:
    return os.path.realpath(path).startswith(os.path.realpath(folder) + os.sep)


def read_frames(path: Path, wanted: int, where: str) -> list[Image.Image]:
    """Read the frames at the centres of `wanted` equal parts of a clip, in RGB; see [`evenly`].

    Args:
        path (`Path`):
            A video file, or a folder of images. Images are sorted by name, with numbers in names compared as numbers.
        wanted (`int`): Number of frames.
        where (`str`): Prefix of error messages.

    Raises:
        DataError: If the clip cannot be read; the message names the file.
    """
    try:
        frames = _of_folder(path, wanted) if path.is_dir() else _of_video(path, wanted)
        size = frames[0].size
        return [frame if frame.size == size else frame.resize(size) for frame in frames]
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{where}: the clip {path} cannot be read: {error}. {ADVICE}") from None


def _of_folder(folder: Path, wanted: int) -> list[Image.Image]:
    files = sorted((file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES), key=_by_number)
    if not files:
        raise DataError(f"the clip {folder} is a folder without images ({', '.join(IMAGE_SUFFIXES)})")
    chosen = evenly(len(files), wanted)
    images = {}
    for file in {files[index] for index in chosen}:
        if not _is_inside(file, folder.parent):
            raise DataError(f"the frame {file} leads outside {folder}; copy it into the folder")
        with Image.open(file) as image:
            images[file] = upright(image)
    return [images[files[index]] for index in chosen]


def _by_number(file: Path) -> list[tuple[str, int]]:
    """Sort key that puts `frame_2` before `frame_10`."""
    return [(text, int(part or 0)) for text, part in re.findall(r"(\D*)(\d*)", file.stem)]


def _of_video(path: Path, wanted: int) -> list[Image.Image]:
    av = import_av()
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DataError(f"the clip {path} has no video stream. {ADVICE}")
            declared = container.streams.video[0].frames
        count = declared or _decode(path, [])[1]  # some formats do not declare the number of frames
        if not count:
            raise DataError(f"the clip {path} has no frames. {ADVICE}")
        frames, read = _decode(path, evenly(count, wanted))
        if 2 * read < max(evenly(count, wanted)):
            raise DataError(f"the clip {path} ends after {read} of {declared} frames. {ADVICE}")
        if len(frames) < len(set(evenly(count, wanted))):  # the declared number is slightly too large
            count = read
            frames, _ = _decode(path, evenly(count, wanted))
    except av.error.FFmpegError as error:
        raise DataError(f"the clip {path} cannot be decoded: {error}. {ADVICE}") from None
    return [frames[index] for index in evenly(count, wanted)]


def _decode(path: Path, wanted: Sequence[int]) -> tuple[dict[int, Image.Image], int]:
    """Decode frames, by index in display order, and count the decoded ones: up to the last one wanted, or all.

    Frames are decoded in order, which is exact in any format, unlike seeking.
    """
    frames: dict[int, Image.Image] = {}
    read = 0
    with import_av().open(str(path)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            read = index + 1
            if index in wanted:
                frames[index] = frame.to_image()
            if wanted and index >= wanted[-1]:
                break
    return frames, read


def import_av() -> ModuleType:
    """Import PyAV, which decodes video files.

    Raises:
        UserError: If it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise UserError(
            f"video files are decoded by PyAV, which cannot be imported ({error}). Install it with "
            "`pip install 'hf-clcl[video]'`, or give each clip as a folder of frames"
        ) from None
    return av


def without_suffix(name: Path) -> Path:
    """Remove the suffix of a video file from a name, if it has one."""
    return name.with_suffix("") if name.suffix.lower() in VIDEO_SUFFIXES else name
