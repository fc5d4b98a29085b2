"""The numbers of runs as files to take home."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import mkdtemp

from ..utils.errors import UserError
from .runs import Run
from .views.matrix import numbers

FORMATS = ("csv", "png", "json")


def export(runs: Sequence[Run], suffix: str) -> Path:
    """Write the matrices of runs to a new file: all cells as CSV, the records as JSON, or the plots as PNG.

    Raises:
        UserError: For another suffix, or no run.
    """
    if suffix not in FORMATS:
        raise UserError(f"there is no export as {suffix[:20]!r}; there are {', '.join(FORMATS)}")
    if not runs:
        raise UserError("choose at least one run")
    name = re.sub(r"[^\w.-]+", "-", "+".join(run.name for run in runs))[:80].strip("-.") or "runs"
    path = Path(mkdtemp(prefix="hf_clcl-"), f"{name}.{suffix}")
    if suffix == "csv":
        path.write_text(_csv(runs), encoding="utf-8")
    elif suffix == "json":
        records = [{"run": run.name, **run.record.to_dict()} for run in runs]
        path.write_text(json.dumps(records, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    else:
        _png(runs, path)
    return path


def _csv(runs: Sequence[Run]) -> str:
    rows = numbers(runs)
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]) if rows else ["run"], lineterminator="\n")
    writer.writeheader()
    # A spreadsheet would take a name that begins like a formula for one.
    writer.writerows(
        {k: f"'{v}" if str(v)[:1] in "=+@" and isinstance(v, str) else v for k, v in r.items()} for r in rows
    )
    return file.getvalue()


def _png(runs: Sequence[Run], path: Path) -> None:
    """Matrix and curves of each run, one below another."""
    from PIL import Image

    from ..reports.figures import plot_curves, plot_matrix

    images = []
    for place, run in enumerate(runs):
        folder = path.parent / str(place)
        for plot in (plot_matrix, plot_curves):
            images.append(Image.open(plot(run.record, folder)[0]).convert("RGB"))
    sheet = Image.new("RGB", (max(i.width for i in images), sum(i.height for i in images)), "white")
    top = 0
    for image in images:
        sheet.paste(image, (0, top))
        top += image.height
    sheet.save(path)
