"""The command of the app as a process: it ends with what it began."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from helpers import ROOT


def test_sigterm_ends_the_page_and_the_training_that_it_began(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("w") as file:
        page = subprocess.Popen(
            [sys.executable, str(ROOT / "app.py")], cwd=tmp_path, stdout=file, stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "GRADIO_SERVER_PORT": "0"},
        )  # fmt: skip
    try:
        training = training_of(page)
        page.send_signal(signal.SIGTERM)
        assert page.wait(60) == 143, log.read_text()
        assert not Path(f"/proc/{training}").exists()
    finally:
        page.kill()


def training_of(page: subprocess.Popen) -> int:
    """The training that a page started, once it runs."""
    children = Path(f"/proc/{page.pid}/task/{page.pid}/children")
    until = time.monotonic() + 120
    while time.monotonic() < until and page.poll() is None:
        for child in children.read_text().split():
            if b"hf_clcl.train" in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
        time.sleep(0.2)
    raise AssertionError("no training was begun")
