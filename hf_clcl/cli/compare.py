"""Compare runs in one table: `hf-clcl compare FOLDER_OR_REPOSITORY ... [--published FILE] [--output DIR]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from ..hub import pull_record
from ..record.run_record import RunRecord
from ..reports.cards.sections import looks_like_hub_id
from ..reports.comparison import as_csv, as_markdown, expected_rows, group_runs, print_comparison, read_published
from ..reports.pareto import plot_comparison
from ..utils.errors import UserError, printable
from ..utils.files import whole_file


def find_records(paths: Iterable[str | Path]) -> dict[str, RunRecord]:
    """Load the records of runs.

    Args:
        paths (`Iterable[str | Path]`): `results.json` files, folders with runs at any depth, or Hub repositories.

    Returns:
        `dict[str, RunRecord]`: The records by their path or repository.

    Raises:
        UserError: If a path has no record.
    """
    records: dict[str, RunRecord] = {}
    for path in map(Path, paths):
        if not path.exists() and looks_like_hub_id(str(path)):
            records[str(path)] = pull_record(str(path))
            continue
        below = sorted(path.rglob("results.json")) if path.is_dir() else [path]
        if not below:
            raise UserError(f"{path}: has no results.json; give the folder of a run or one above it")
        records |= {str(file.resolve()): RunRecord.load(file) for file in below}
    return records


def main(argv: list[str] | None = None, prog: str = "python -m hf_clcl.compare") -> int:
    """Compare runs; returns the exit code."""
    parser = argparse.ArgumentParser(prog=prog, description="Compare runs in one table and one plot.")
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="FOLDER_OR_REPOSITORY",
        help="a run, a folder with runs below, or owner/name on the Hub",
    )
    parser.add_argument("--published", metavar="FILE", help="JSON of published matrices to compare with the runs")
    parser.add_argument(
        "--output", default="comparison", metavar="DIR", help="folder for CSV, Markdown and plot (%(default)s)"
    )
    options = parser.parse_args(argv)
    try:
        records = list(find_records(options.runs).values())
        expected, notes = expected_rows(records)
        rows = [*group_runs(records), *expected]
        rows += read_published(options.published) if options.published else []
        print_comparison(rows, notes=notes)
        for name, content in (("comparison.csv", as_csv(rows)), ("comparison.md", as_markdown(rows, notes))):
            with whole_file(Path(options.output, name)) as file:
                file.write_text(content, encoding="utf-8")
        if any(row.mean("last") is not None for row in rows):
            plot_comparison(rows, options.output)
    except UserError as error:
        sys.stderr.write(f"error: {printable(str(error))}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"error: {options.output}: cannot be written: {error.strerror or error}; choose --output\n")
        return 2
    sys.stdout.write(f"\nCSV, Markdown and plot: {options.output}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
