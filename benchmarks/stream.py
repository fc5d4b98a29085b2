"""Time the parts of a whole stream: runs a recipe as users run it, and measures the seconds of each part.

    python benchmarks/stream.py recipes/quickstart.yaml --output_dir outputs/timed [--key value ...] [--json FILE]

The seconds of a part exclude the parts that it calls, so they add up to the total. Data are loaded in the training
process (`dataloader_num_workers: 0`), so that decoding is visible. On a GPU, each part waits for the device, with
a small overhead.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

START = time.perf_counter()

# (module, class, function): name of the part.
PARTS = {
    ("hf_clcl.data.recipe_tasks", None, "resolve_stream"): "reading datasets",
    ("hf_clcl.data.references", None, "resolve_reference_images"): "reading datasets",
    ("hf_clcl.data.references", None, "resolve_reference_texts"): "reading datasets",
    ("hf_clcl.data.batches", "TaskData", "of"): "reading datasets",
    ("hf_clcl.stream.session", None, "load_model"): "loading the model",
    ("hf_clcl.stream.session", None, "load_processor"): "loading the model",
    ("hf_clcl.data.images.frames", "Frames", "_processed"): "decoding images",
    ("hf_clcl.data.images.frames", "Frames", "_crop"): "cropping images",
    ("hf_clcl.data.batches", "TaskBatches", "__getitem__"): "collecting batches",
    ("hf_clcl.data.images.frames", "Normalizer", "__call__"): "normalising images",
    ("hf_clcl.methods.guided", None, "embed_all_images"): "teacher: images",
    ("hf_clcl.methods.guided", None, "embed_all_texts"): "teacher: texts",
    ("hf_clcl.methods.guided", None, "key_of"): "teacher: names of embeddings",
    ("hf_clcl.training.trainer", "ContinualTrainer", "compute_loss"): "training: forward",
    ("accelerate", "Accelerator", "backward"): "training: backward",
    ("accelerate.optimizer", "AcceleratedOptimizer", "step"): "training: optimiser",
    ("hf_clcl.training.trainer", "ContinualTrainer", "__init__"): "training: set-up",
    ("hf_clcl.training.trainer", "ContinualTrainer", "train"): "training: the rest of the loop",
    ("hf_clcl.methods.averaging", "WeightAveraging", "on_step_end"): "averaging weights",
    ("hf_clcl.training.trainer", "ContinualTrainer", "_save_checkpoint"): "checkpoints within tasks",
    ("hf_clcl.evaluation.zero_shot", None, "embed_all_images"): "evaluation: images",
    ("hf_clcl.evaluation.zero_shot", "ZeroShotEvaluator", "_embed_classes"): "evaluation: class prompts",
    ("hf_clcl.evaluation.zero_shot", "ZeroShotEvaluator", "_hits"): "evaluation: classification",
    ("hf_clcl.evaluation.evaluator", "StreamEvaluation", "__init__"): "reading datasets",
    ("hf_clcl.stream.stream", "Stream", "_save"): "saving tasks",
    ("hf_clcl.stream.output", "OutputFolder", "write"): "record, card and plots",
    ("hf_clcl.stream.output", "OutputFolder", "write_record"): "record, card and plots",
}


class Stopwatch:
    """Measure the seconds of each part, without the parts that it calls."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)
        self._running: list[str] = []
        self._since = START

    def enter(self, part: str) -> None:
        """Start a part."""
        self._stop()
        self.calls[part] += 1
        self._running.append(part)

    def leave(self) -> None:
        """End the current part."""
        self._stop()
        self._running.pop()

    def _stop(self) -> None:
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_initialized():
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.seconds[self._running[-1] if self._running else "the rest"] += now - self._since
        self._since = now

    def watch(self, module: str, owner: str | None, name: str, part: str) -> None:
        """Replace a function of a module, or a method of a class, by a timed one."""
        home: Any = importlib.import_module(module)
        home = getattr(home, owner) if owner else home
        inner = home.__dict__[name]
        is_class_method = isinstance(inner, classmethod)
        function = inner.__func__ if is_class_method else inner

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self.enter(part)
            try:
                return function(*args, **kwargs)
            finally:
                self.leave()

        setattr(home, name, classmethod(timed) if is_class_method else timed)


def measure(arguments: list[str]) -> tuple[int, Stopwatch]:
    """Run a recipe with all parts timed; returns its exit code and the stopwatch."""
    watch = Stopwatch()
    watch.enter("importing libraries")
    for (module, owner, name), part in PARTS.items():
        watch.watch(module, owner, name, part)
    watch.leave()
    from hf_clcl.cli.train import main

    code = main([*arguments, "--dataloader_num_workers", "0"])
    watch.enter("the rest")
    watch.leave()
    return code, watch


def table(watch: Stopwatch) -> str:
    """Table of the parts, the slowest first."""
    total = sum(watch.seconds.values())
    lines = [f"{'part':32s} {'seconds':>9s} {'share':>7s} {'calls':>8s}"]
    for part, seconds in sorted(watch.seconds.items(), key=lambda entry: -entry[1]):
        lines.append(f"{part:32s} {seconds:9.2f} {seconds / total:7.1%} {watch.calls[part] or '':>8}")
    slowest = max(watch.seconds, key=watch.seconds.__getitem__)
    return "\n".join([*lines, f"{'together':32s} {total:9.2f}", "", f"What dominates: {slowest}."])


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="the recipe; further --key value pairs override its values")
    parser.add_argument("--json", help="file for the figures")
    options, rest = parser.parse_known_args(argv)
    code, watch = measure([options.recipe, *rest])
    if code:
        return code
    print(table(watch))
    if options.json:
        seconds = {part: round(value, 3) for part, value in watch.seconds.items()}
        Path(options.json).write_text(json.dumps(seconds, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
