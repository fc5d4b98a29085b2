"""Runs the command of training in processes of their own, which are hit by a signal where an order says so.

A server: it imports everything once and forks a process for each order, so that a start costs no seconds. Orders are
lines of JSON on its standard input; for each it writes the process id, and in the end exit code and processor seconds.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# What is about to happen when a run is hit, and the function that does it.
MOMENTS = {
    "a step": "hf_clcl.training.trainer:ContinualTrainer.training_step",
    "a forward": "hf_clcl.methods.base:Method.embed",
    "the optimiser": "accelerate.optimizer:AcceleratedOptimizer.step",
    "averaging": "hf_clcl.methods.averaging:WeightAveraging.update",
    "the end of averaging": "hf_clcl.methods.averaging:WeightAveraging.finish",
    "the teacher": "hf_clcl.methods.guided:embed_all_images",
    "Fisher information": "hf_clcl.methods.ewc:diagonal_fisher",
    "herding": "hf_clcl.methods.icarl:herd",
    "merging an adapter": "hf_clcl.models.tuning:Adapter.merge",
    "a checkpoint's optimiser": "transformers:Trainer._save_optimizer_and_scheduler",
    "a checkpoint's method": "hf_clcl.training.trainer:save_state",
    "moving a checkpoint": "hf_clcl.training.checkpoints:replace_folder",
    "deleting an old checkpoint": "hf_clcl.training.trainer:rotate_checkpoints",
    "a task's weights": "transformers:CLIPModel.save_pretrained",
    "a task's processor": "transformers:CLIPProcessor.save_pretrained",
    "moving a task's folder": "hf_clcl.utils.files:replace_folder",
    "evaluating": "hf_clcl.evaluation.zero_shot:embed_all_images",
    "writing results.json": "hf_clcl.record.run_record:RunRecord.save",
    "writing recipe.yaml": "hf_clcl.stream.output:yaml.safe_dump",
    "writing the card": "hf_clcl.stream.output:write_card",
    "the next task": "hf_clcl.stream.stream:Stream._run_task",
}
CHANGES = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir"}  # audit events, see Python's table of them


def serve() -> None:
    """Answer orders until there are no more."""
    import peft  # noqa: F401
    from transformers import CLIPModel, CLIPProcessor  # noqa: F401

    # Before the fork: a signal during these imports would end the child before the command handles it.
    import hf_clcl.cli.train
    import hf_clcl.stream.output  # noqa: F401

    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        order = json.loads(line)
        process = os.fork()
        if process == 0:
            sys.exit(_run(**order))
        sys.stdout.write(f"{process}\n")
        sys.stdout.flush()
        _, status, usage = os.wait4(process, 0)
        answer = {"code": os.waitstatus_to_exitcode(status), "processor": usage.ru_utime + usage.ru_stime}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _run(arguments: list[str], output: str, log: str, number: int, moment: str | None, count: int) -> int:
    """Train, and be hit by a signal before the `count`-th call of a moment, or change of a file where it is `None`."""
    for usual, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
        signal.signal(usual, handler)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    import hf_clcl.stream.output
    from hf_clcl.cli.train import main

    hf_clcl.stream.output.plot_matrix = hf_clcl.stream.output.plot_curves = (
        lambda *args: []
    )  # most of the time of so short a run

    def strike() -> None:
        Path(log).with_suffix(".struck").write_text(json.dumps([time.monotonic(), time.process_time()]))
        os.kill(os.getpid(), number)

    if moment:
        _before(MOMENTS[moment], count, strike)
    elif count:
        _before_change(output, count, strike)
    return main(arguments)


def _before(target: str, count: int, strike: Callable[[], None]) -> None:
    module, _, name = target.partition(":")
    holder: Any = importlib.import_module(module)
    *path, name = name.split(".")
    for part in path:
        holder = getattr(holder, part)
    original, calls = getattr(holder, name), []

    def struck(*args: Any, **kwargs: Any) -> Any:
        calls.append(None)
        if len(calls) == count:
            strike()
        return original(*args, **kwargs)

    setattr(holder, name, struck)


def _before_change(folder: str, count: int, strike: Callable[[], None]) -> None:
    changes = []

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in CHANGES or not str(arguments[0]).startswith(folder):
            return
        if event == "open" and not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR):
            return
        changes.append(event)
        if len(changes) == count:
            strike()

    sys.addaudithook(audit)


if __name__ == "__main__":
    serve()
