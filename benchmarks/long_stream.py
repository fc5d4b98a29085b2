"""Long-stream test: memory, open files, threads and seconds per task must not grow over many generated tasks.

    python benchmarks/long_stream.py [--tasks 100] [--output_dir outputs/long_stream]

Writes a plot, and the samples next to the output folder. Prints means over the second and the last fifth of the tasks.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import matplotlib
import numpy as np
from datasets import ClassLabel, Dataset, Features, Image
from matplotlib.figure import Figure
from PIL import Image as PILImage
from transformers import CLIPModel

from hf_clcl import Task, run_stream
from hf_clcl.methods.base import TaskContext
from hf_clcl.methods.zscl import ZSCL
from hf_clcl.reports.figures import BLUE, GREY, ORANGE, STYLE
from hf_clcl.utils.files import whole_file

COLOURS = ("red", "green", "blue")


@dataclass
class SampledZSCL(ZSCL):
    """ZSCL that samples memory, files, threads and time at the start of each task."""

    name: ClassVar[str] = "zscl"

    file: Path | None = field(default=None, init=False)

    def begin_task(self, model: CLIPModel, context: TaskContext) -> None:
        with open(self.file, "a", encoding="utf-8") as lines:
            lines.write(json.dumps(sample()) + "\n")
        super().begin_task(model, context)


def sample() -> dict[str, float]:
    """Memory in MB, open files, threads, and CPU and wall-clock seconds of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "memory": pages * os.sysconf("SC_PAGE_SIZE") / 2**20, "files": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(), "processor": used.ru_utime + used.ru_stime, "clock": time.monotonic(),
    }  # fmt: skip


def pictures(count: int, seed: int, size: int = 32) -> Dataset:
    """Noisy pictures of three colours."""
    rng = np.random.default_rng(seed)
    labels = [index % 3 for index in range(count)]
    pixels = rng.integers(0, 120, (count, size, size, 3))
    for index, label in enumerate(labels):
        pixels[index, ..., label] += 100
    features = Features({"image": Image(), "label": ClassLabel(names=list(COLOURS))})
    images = [PILImage.fromarray(array.astype(np.uint8)) for array in pixels]
    return Dataset.from_dict({"image": images, "label": labels}, features=features)


def stream(count: int, output: Path, model: str, **values: object) -> list[dict[str, float]]:
    """Run `count` tasks; returns a sample at the start of each and one at the end."""
    tasks = [
        Task(f"task{number:03d}", train=pictures(12, number), test=pictures(6, 1000 + number))
        for number in range(count)
    ]
    method = SampledZSCL(averaging_interval=2)
    method.file = output.with_suffix(".samples.jsonl")
    method.file.parent.mkdir(parents=True, exist_ok=True)
    method.file.unlink(missing_ok=True)
    training = {
        "max_steps": 3, "per_device_train_batch_size": 6, "learning_rate": 1e-4, "logging_steps": 1, "save_steps": 2,
        "disable_tqdm": True,
    }  # fmt: skip
    run_stream(
        model, tasks, method, reference_images=pictures(12, 9999), reference_texts=["a red thing", "a blue thing"],
        output_dir=str(output), **{**training, **values},
    )  # fmt: skip
    return [*map(json.loads, method.file.read_text(encoding="utf-8").splitlines()), sample()]


def per_task(samples: list[dict[str, float]], key: str) -> np.ndarray:
    """Seconds of each task, from its start to that of the next."""
    return np.diff([entry[key] for entry in samples])


def plot(samples: list[dict[str, float]], path: Path) -> None:
    """Three panels over the tasks: memory, open files and threads, processor seconds."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.5, 2.9), layout="constrained")
        memory, handles, seconds = figure.subplots(1, 3)
        memory.plot([entry["memory"] for entry in samples], color=BLUE)
        memory.set(title="memory of the process (MB)", ylim=(0, None))
        handles.plot([entry["files"] for entry in samples], color=BLUE, label="open files")
        handles.plot([entry["threads"] for entry in samples], color=ORANGE, label="threads")
        handles.set(title="open files and threads", ylim=(0, None))
        handles.legend(frameon=False)
        took = per_task(samples, "processor")
        seconds.plot(took, color=GREY, linewidth=0.8, label="each task")
        width = max(1, len(took) // 10)
        means = np.convolve(took, np.ones(width) / width, "valid")
        seconds.plot(np.arange(len(means)) + (width - 1) / 2, means, color=BLUE, label=f"mean of {width}")
        seconds.set(title="processor seconds of a task", ylim=(0, None))
        seconds.legend(frameon=False)
        for axes in (memory, handles, seconds):
            axes.set_xlabel("tasks learnt so far")
            axes.grid(color="#EEEEEE", linewidth=0.6)
        buffer = io.BytesIO()
        figure.savefig(buffer, dpi=130)
    with whole_file(path) as file:
        PILImage.open(buffer).convert("RGB").quantize(64, dither=PILImage.Dither.NONE).save(file, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--model_name_or_path", default="builtin:tiny-clip")
    parser.add_argument("--output_dir", type=Path, default=Path("outputs/long_stream"))
    parser.add_argument("--plot", type=Path, default=Path("docs/reliability/long-stream.png"))
    options = parser.parse_args()
    samples = stream(options.tasks, options.output_dir, options.model_name_or_path)
    plot(samples, options.plot)
    fifth = max(1, options.tasks // 5)
    for key in ("memory", "files", "threads"):
        early, late = (
            float(np.mean([e[key] for e in part])) for part in (samples[fifth : 2 * fifth], samples[-fifth:])
        )
        print(f"{key}: {early:.1f} in the second fifth, {late:.1f} in the last")
    took = per_task(samples, "processor")
    print(f"processor seconds a task: {took[fifth : 2 * fifth].mean():.2f}, {took[-fifth:].mean():.2f}")


if __name__ == "__main__":
    main()
