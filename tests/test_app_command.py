"""The command of the app as a process: it ends with what it began."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_sigterm_ends_the_page_and_the_training_that_it_began(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("w") as file:
        page = subprocess.Popen(
            [sys.executable, str(ROOT / "app.py")], cwd=tmp_path, stdout=file, stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "GRADIO_SERVER_PORT": "0"},
        )  # fmt: skip
    try:
        training = child_of(page)
        page.send_signal(signal.SIGTERM)
        assert page.wait(60) == 143, log.read_text()
        assert not Path(f"/proc/{training}").exists()
    finally:
        page.kill()


def child_of(process: subprocess.Popen) -> int:
    """The process that another one started, once it runs."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if found := children.read_text().split():
            return int(found[0])
        time.sleep(0.2)
    raise AssertionError("no training was begun")
