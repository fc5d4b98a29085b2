"""A process that fails or dies ends the others, soon, and one of them says why."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets import Image

from helpers.processes import torchrun
from hf_clcl.data.batches import ORDER, Draws
from hf_clcl.data.sources.local import load_local

RUN = ["--method", "finetune", "--use_cpu", "--per_device_train_batch_size", "3", "--max_steps", "4"]

KILLED = '''
import os, signal
from pathlib import Path
from hf_clcl.methods import Method

class Killed(Method):
    """Fine-tuning in which the second process is killed in its second step."""

    name = "killed"
    steps = 0

    def losses(self, model, batch):
        self.steps += 1
        if self.steps == 2 and os.environ["RANK"] == "1":
            Path(os.environ["DIED_AT"]).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().losses(model, batch)
'''


@pytest.mark.slow
def test_the_death_of_a_process_ends_the_others(recipe: Path) -> None:
    (recipe.parent / "killed.py").write_text(KILLED)
    died = recipe.parent / "died"
    done = torchrun(
        "-m", "hf_clcl.train", str(recipe), *RUN, "--method", f"{recipe.parent / 'killed.py'}:Killed",
        DIED_AT=str(died),
    )  # fmt: skip
    # `torchrun` here ends with `TimeoutExpired` before the half hour that a survivor would wait for the dead process.
    assert died.exists() and done.returncode == 1
    assert "SIGKILL" in done.stderr  # what the launcher says of it
    # The survivor says so too, where the launcher leaves it the time.
    assert done.stderr.count("another process of this run cannot be reached") <= 1
    assert "hf_clcl/errors.py" not in done.stderr  # in any traceback of ours
    assert not (recipe.parent / "out" / "task-01-warm").exists()


@pytest.mark.slow
def test_an_image_that_one_process_cannot_read_ends_all_with_its_message(recipe: Path) -> None:
    images = load_local(recipe.parent / "warm", "train", "warm").cast_column("image", Image(decode=False))
    row = Draws(len(images), 3, (42, 0, ORDER), rank=1, world_size=2)(0)[0]
    path = Path(images[int(row)]["image"]["path"])
    path.write_bytes(path.read_bytes()[:40])
    done = torchrun("-m", "hf_clcl.train", str(recipe), *RUN)
    assert done.returncode == 1
    assert done.stderr.count(f"error: warm: the image in row {row} ") == 1
    assert "cannot be reached" not in done.stderr
    assert "exitcode  : 1" in done.stderr
