"""Write model cards and plots again from their records: `hf-clcl card model_cards`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..record.run_record import RunRecord
from ..reports.cards import save_card
from ..utils.errors import UserError, printable

DESCRIPTION = "Write `README.md` and the plots of every folder that holds a `results.json`."


def main(argv: list[str] | None = None, prog: str = "hf-clcl card") -> int:
    """Write `README.md` and the plots of every folder that holds a `results.json`; returns the exit code."""
    parser = argparse.ArgumentParser(prog=prog, description=DESCRIPTION)
    parser.add_argument("folder", metavar="MODEL_CARDS_DIR", help="folder with one folder for each run")
    folder = Path(parser.parse_args(argv).folder)
    try:
        paths = sorted(folder.rglob("results.json"))
        if not paths:
            raise UserError(f"{folder}: has no results.json; give a folder with one folder for each run")
        records = {path.parent: RunRecord.load(path) for path in paths}  # all are read before any card is written
    except UserError as error:
        sys.stderr.write(f"error: {printable(str(error))}\n")
        return 2
    for run, record in records.items():
        save_card(record, run)
        sys.stdout.write(f"{run / 'README.md'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
