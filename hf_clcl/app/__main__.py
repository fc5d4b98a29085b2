"""Command line of the app: `python app.py [RUN_OR_REPO ...]`, `hf-clcl app ...` or `python -m hf_clcl.app ...`."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import shlex
import signal
import sys
from types import FrameType
from typing import NoReturn

from ..utils.errors import UserError, printable

EPILOG = """\
RUN is the output folder of a run, or a folder that contains runs; REPO is owner/name on the Hub. Without arguments,
the app shows the run of the recipe quickstart, and trains it first if it does not exist. On a Space, where there is no
command line, set the environment variable HF_CLCL_RUNS.

The page in the browser sends requests to this machine only. This machine downloads from the Hub the repositories named
here, and the base model and the test sets that their records name. HF_HUB_OFFLINE=1 forbids these downloads.
"""


def main(argv: list[str] | None = None, prog: str = "python -m hf_clcl.app") -> int:
    """Serve the app until it is stopped.

    Args:
        argv (`list[str]`, *optional*): Command-line arguments; those of the process by default.
        prog (`str`): The program name in the help text.

    Returns:
        `int`: The exit code.
    """
    options = _parser(prog).parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    # SIGTERM shuts down as cleanly as Ctrl-C: a training process that the app started is stopped too.
    signal.signal(signal.SIGTERM, _exit_on_signal)
    runs = None
    gc.disable()  # imports create many objects and no garbage: this saves a fifth of the start-up time
    try:
        from .default import default_runs
        from .runs import open_runs
        from .workbench import Workbench

        paths = options.runs or shlex.split(os.environ.get("HF_CLCL_RUNS", ""))
        runs = open_runs(paths) if paths else default_runs()
        bench = Workbench(runs, options.data_root, options.models)
        try:
            from .page import build, launch
        except ModuleNotFoundError as error:
            if error.name != "gradio":
                raise
            raise UserError('the app needs Gradio; install it with `pip install "hf-clcl[app]"`') from None
        page = build(bench)
        gc.enable()
        launch(
            page,
            server_name=options.server_name,
            server_port=options.server_port,
            inbrowser=options.inbrowser,
            prevent_thread_lock=True,
        )
        page.block_thread()
    except UserError as error:
        sys.stderr.write(f"error: {printable(str(error))}\n")
        return error.exit_code
    except OSError as error:
        sys.stderr.write(f"error: {printable(str(error))}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        for run in runs or ():
            run.stop()
    return 0


def _exit_on_signal(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def _parser(prog: str = "python -m hf_clcl.app") -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Show what CLIP learnt and what it forgot: predictions, matrices and test images of runs.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="*", metavar="RUN_OR_REPO", help="output folders, or owner/name on the Hub")
    parser.add_argument("--data_root", metavar="DIR", help="folder of the test images (as in the recipe)")
    parser.add_argument("--models", type=_positive, metavar="N", help="how many checkpoints to keep in memory (12)")
    parser.add_argument("--server_name", metavar="ADDRESS", help="address to listen on (127.0.0.1)")
    parser.add_argument(
        "--server_port", type=int, metavar="PORT", help="port to listen on (the first free one from 7860)"
    )
    parser.add_argument("--inbrowser", action="store_true", help="open the app in the browser")
    return parser


def _positive(value: str) -> int:
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


if __name__ == "__main__":
    sys.exit(main())
