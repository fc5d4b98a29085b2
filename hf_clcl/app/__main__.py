"""Open the page: `python app.py [RUN_OR_REPO ...]`, `hf-clcl app ...` or `python -m hf_clcl.app ...`."""

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
RUN is the output folder of a run, or a folder with runs below; REPO is owner/name on the Hub. Without any, the page
shows the run of the recipe quickstart, and makes it first where it is not there. On a Space, where there is no
command line, set the variable HF_CLCL_RUNS.

The page makes no request to anywhere but this machine. The machine itself asks the Hub for the repositories named
here, and for the base model and the test sets that their records name; HF_HUB_OFFLINE=1 forbids even that.
"""


def main(argv: list[str] | None = None, prog: str = "python -m hf_clcl.app") -> int:
    """Open the page and stay until it is stopped; returns the exit code."""
    options = _parser(prog).parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    # An end by SIGTERM is as orderly as one by Ctrl-C: the training that the page began ends with it.
    signal.signal(signal.SIGTERM, _end)
    runs = None
    gc.disable()  # importing makes many objects and no garbage: a fifth of the time until the page is there
    try:
        from .default import default_runs
        from .runs import open_runs
        from .workbench import Workbench

        named = options.runs or shlex.split(os.environ.get("HF_CLCL_RUNS", ""))
        runs = open_runs(named) if named else default_runs()
        bench = Workbench(runs, options.data_root, options.models)
        try:
            from .page import build, launch
        except ModuleNotFoundError as error:
            if error.name != "gradio":
                raise
            raise UserError('the page needs Gradio; install it with `pip install "hf-clcl[app]"`') from None
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


def _end(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def _parser(prog: str = "python -m hf_clcl.app") -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="See what CLIP learnt and what it forgot: predictions, matrices and test images of runs.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="*", metavar="RUN_OR_REPO", help="output folders, or owner/name on the Hub")
    parser.add_argument("--data_root", metavar="DIR", help="where the test images lie (as in the recipe)")
    parser.add_argument("--models", type=_positive, metavar="N", help="checkpoints that stay in memory (12)")
    parser.add_argument("--server_name", metavar="ADDRESS", help="address to listen at (127.0.0.1)")
    parser.add_argument("--server_port", type=int, metavar="PORT", help="port (the first free one from 7860)")
    parser.add_argument("--inbrowser", action="store_true", help="open the page in the browser")
    return parser


def _positive(words: str) -> int:
    number = int(words)
    if number < 1:
        raise argparse.ArgumentTypeError("needs at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
