"""Small clips with known frames, and a dataset of them."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

WORDS = ("red", "green", "blue", "dark", "light", "grey")
COLOURS = ((220, 30, 30), (30, 220, 30), (30, 30, 220), (20, 20, 20), (240, 240, 240), (120, 120, 120))


def solid(colour: tuple[int, int, int], size: tuple[int, int] = (16, 16)) -> np.ndarray:
    return np.full((*size, 3), colour, np.uint8)


def numbered(count: int) -> list[np.ndarray]:
    """Frames that tell their place by how bright they are: `10 * place`."""
    return [solid((10 * place,) * 3) for place in range(count)]


def write_video(path: Path, frames: list[np.ndarray], rate: int = 8) -> Path:
    """A video without loss (FFV1, RGB), so that what is read is what was written."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(rate))
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "bgr0"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def write_frames(folder: Path, frames: list[np.ndarray]) -> Path:
    """A folder of frames, whose names are not in the order of the alphabet."""
    folder.mkdir(parents=True)
    for place, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"frame_{place}.png")
    return folder


def write_dataset(root: Path, per_category: int = 2, categories: int = 6) -> Path:
    """A local copy in the layout of `friedrichor/MSR-VTT`, and its clips in `videos`: each category has its colour.

    Training rows have a list of captions, test rows one caption. Clips are video files and folders of frames in turn.
    """
    rng = np.random.default_rng(0)
    splits: dict[str, list[dict]] = {"train": [], "test": []}
    for split, rows in splits.items():
        for index in range(per_category * categories):
            name, label = f"video{len(rows) + 100 * (split == 'test')}", index % categories
            frames = [
                np.clip(solid(COLOURS[label]) + rng.integers(-20, 20, (16, 16, 3)), 0, 255).astype(np.uint8)
                for _ in range(5)
            ]
            if index % 2:
                write_frames(root / "videos" / name, frames)
            else:
                write_video(root / "videos" / f"{name}.mkv", frames)
            captions = [f"a {WORDS[label]} thing", f"it is {WORDS[label]}"]
            rows.append({
                "video_id": name, "video": f"{name}.mp4", "category": label, "id": index,
                "caption": captions if split == "train" else captions[index % 2], "source": "MSR-VTT",
            })  # fmt: skip
    folder = root / "msrvtt"
    folder.mkdir()
    for split, rows in splits.items():
        (folder / f"{split}.json").write_text(json.dumps(rows))
    configs = "".join(
        f"- config_name: {name}\n  data_files:\n  - split: {split}\n    path: {split}.json\n"
        for name, split in (("train_9k", "train"), ("test_1k", "test"))
    )
    (folder / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    return root
