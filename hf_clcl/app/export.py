"""Export of matrices and records as CSV, JSON or PNG files."""

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
    """Write the results of runs to a new temporary file.

    Args:
        runs (`Sequence[Run]`): The runs.
        suffix (`str`): `"csv"` for all matrix cells, `"json"` for the records, `"png"` for the plots.

    Raises:
        UserError: If the suffix is another one, or no run is given.
    """
    if suffix not in FORMATS:
        raise UserError(f"the format must be one of {', '.join(FORMATS)}, got {suffix[:20]!r}")
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
    # A spreadsheet would evaluate a name that begins like a formula.
    writer.writerows(
        {k: f"'{v}" if str(v)[:1] in "=+@" and isinstance(v, str) else v for k, v in r.items()} for r in rows
    )
    return file.getvalue()


def _png(runs: Sequence[Run], path: Path) -> None:
    """Draw matrix and curves of all runs below each other."""
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
