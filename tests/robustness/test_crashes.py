"""Runs that are killed again and again, and started again by the same command, end as one that was not."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file

from helpers import ROOT
from hf_clcl import RunRecord

PATIENCE = 400  # seconds until a process counts as hanging, on a machine with other work
# Each method with its options, and moments that it alone has: along a task, at its end, in the second task.
METHODS = {
    "finetune": ({}, "a forward", "a task's weights", "the optimiser"),
    "zscl": ({"averaging_interval": 2}, "averaging", "the end of averaging", "a forward"),
    "icarl": ({"memory": 12}, "a step", "herding", "the teacher"),
    "ewc": ({"fisher_samples": 9, "ewc_weight": 1e5}, "the optimiser", "Fisher information", "a step"),
    "lora": ({"averaging_interval": 2, "averaging": "exponential"}, "averaging", "merging an adapter", "a forward"),
}
IN_A_TASK = ("a step", "a checkpoint's optimiser", "a checkpoint's method", "moving a checkpoint")
AT_ITS_END = ("a task's processor", "moving a task's folder", "writing results.json", "writing recipe.yaml")
AFTER_IT = ("evaluating", "writing results.json", "writing recipe.yaml", "writing the card", "the next task")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


@dataclass
class End:
    """How a run ended: exit code, processor seconds, its output; seconds since it was hit, and those of the processor.

    The last two are `None` where it was not hit.
    """

    code: int
    processor: float
    log: str
    since: float | None
    work: float | None


class Server:
    """The process that starts runs."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "helpers" / "crash_server.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        )  # fmt: skip

    def run(
        self, recipe: Path, number: int = 0, moment: str | None = None, count: int = 0, after: float | None = None
    ) -> End:
        """Run a recipe to its end or until it is hit: at a moment, or from outside after some processor seconds."""
        log = recipe.with_suffix(".log")
        log.with_suffix(".struck").unlink(missing_ok=True)
        order = {
            "arguments": [str(recipe)], "output": str(recipe.parent / "out"), "log": str(log),
            "number": number, "moment": moment, "count": 0 if after else count,
        }  # fmt: skip
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        process, deadline, struck = int(self.process.stdout.readline()), time.monotonic() + PATIENCE, None
        while not select.select([self.process.stdout], [], [], 0.005)[0]:
            if after is not None and struck is None and processor_seconds(process) >= after:
                struck = [time.monotonic(), processor_seconds(process)]
                os.kill(process, number)
            if time.monotonic() > deadline:
                os.kill(process, signal.SIGKILL)
        ended, answer = time.monotonic(), json.loads(self.process.stdout.readline())
        if log.with_suffix(".struck").exists():
            struck = json.loads(log.with_suffix(".struck").read_text())
        since, work = (ended - struck[0], answer["processor"] - struck[1]) if struck else (None, None)
        return End(**answer, log=log.read_text(encoding="utf-8", errors="replace"), since=since, work=work)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(PATIENCE)


def processor_seconds(process: int) -> float:
    try:
        return time.clock_gettime((~process << 3) | 2)  # the clock of clock_getcpuclockid(3)
    except OSError:  # it has just ended
        return 0.0


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, colours) -> Path:
    from datasets import DatasetDict

    folder = tmp_path_factory.mktemp("data")
    for name, seed in (("warm", 0), ("cold", 5)):
        splits = DatasetDict(train=colours(18, seed=seed), test=colours(9, seed=seed + 1))
        splits.save_to_disk(str(folder / name))
    (folder / "texts.txt").write_text("a red thing\na blue thing\n")
    return folder


def write_recipe(folder: Path, data: Path, tiny_clip: Path, method: str) -> Path:
    options = METHODS[method][0]
    lora, name = {"peft": {"r": 2}} if method == "lora" else {}, "wise_ft" if method == "lora" else method
    values = {
        "model_name_or_path": str(tiny_clip), "method": name, "methods": {name: options}, "data_root": str(data),
        "max_steps": 4, "save_steps": 1, "save_total_limit": 2, "logging_steps": 1, "disable_tqdm": True,
        "per_device_train_batch_size": 5, "per_device_reference_batch_size": 4, "learning_rate": 1e-3,
        "output_dir": str(folder / "out"), **lora,
        "tasks": [{"name": "warm", "dataset": "warm"}, {"name": "cold", "dataset": "cold"}],
        "reference_images": {"dataset": "cold", "split": "train"}, "reference_texts": {"dataset": "texts.txt"},
    }  # fmt: skip
    path = folder / "recipe.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(values))
    return path


def strikes(method: str, whole: float) -> list[dict]:
    """What hits the runs of a method, one after another, from the first task to the end of the last; seeded chance."""
    chance = random.Random(method)
    _, along, at_end, in_second = METHODS[method]
    found = [
        {"after": whole * chance.uniform(0.05, 0.4)},  # anywhere, from outside
        {"count": chance.randint(1, 30)},  # anywhere, at a change of a file
        {"moment": along},
        {"moment": chance.choice(IN_A_TASK)},
        {"moment": at_end, "number": signal.SIGKILL},  # other signals wait until the task is saved
        {"moment": chance.choice(AT_ITS_END)},
        {"moment": chance.choice(AFTER_IT)},
        {"moment": in_second},
        {"count": chance.randint(1, 40)},
        {"moment": chance.choice(AFTER_IT[:-1])},
    ]
    return [{"number": int(chance.choice(SIGNALS)), "count": 1, **strike} for strike in found]


def outcome(folder: Path) -> dict:
    """Everything that has to be the same, however often a run was stopped."""
    record = RunRecord.load(folder)
    return {
        "zero-shot": record.zero_shot, "accuracy": record.accuracy, "losses": record.losses,
        "finished": record.finished, "phases": [(phase["phase"], phase["task"]) for phase in record.phases],
        "files": sorted(
            str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()
        ),
        "weights": {
            str(path.relative_to(folder)): {name: tensor.numpy().tobytes() for name, tensor in load_file(path).items()}
            for path in folder.rglob("*.safetensors")
        },
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_run_that_is_killed_again_and_again_ends_as_one_that_was_not(
    server: Server, tmp_path: Path, data: Path, tiny_clip: Path, method: str
) -> None:
    whole = server.run(write_recipe(tmp_path / "whole", data, tiny_clip, method))
    assert whole.code == 0, whole.log
    recipe, kills = write_recipe(tmp_path / "killed", data, tiny_clip, method), []
    for strike in strikes(method, whole.processor):
        end, number = server.run(recipe, **strike), strike["number"]
        # Python shows what is raised in a destructor, drops it, and the run ends a moment later.
        assert "Traceback" not in end.log or "Exception ignored in" in end.log, (strike, end.log)
        if end.since is None:
            assert end.code == 0, (strike, end.log)
            sys.stdout.write(f"{strike}: came to its end:\n{end.log}\n")
            continue
        # A signal that comes before the run has begun, or in what is left to do after it, ends it as Python does.
        assert end.code in (-number, 128 + number), (strike, end.log)
        # Processor time, as a busy machine is slow by the clock: to end a run takes less than to run it twice.
        assert number == signal.SIGKILL or end.work < 2 * whole.processor, (strike, end.work, whole.processor)
        kills.append((strike, end.code, f"{end.since:.1f} s", f"{end.work:.2f} s of the processor"))
    end = server.run(recipe)
    assert end.code == 0, end.log
    found, expected = outcome(tmp_path / "killed" / "out"), outcome(tmp_path / "whole" / "out")
    for key, value in expected.items():
        assert found[key] == value, key
    sys.stdout.write("\n".join(map(str, kills)) + "\n")
    assert len(kills) >= 7
