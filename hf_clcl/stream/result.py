"""`StreamResult`: the record of a run with plots and a table for notebooks."""

from __future__ import annotations

import dataclasses
import html
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..record.run_record import RunRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(eq=False)
class StreamResult(RunRecord):
    """A [`RunRecord`] with plots and an HTML table for notebooks.

    `StreamResult.load(folder)` reads the record of a run that is finished or still running.
    """

    @classmethod
    def from_record(cls, record: RunRecord) -> StreamResult:
        """Make a `StreamResult` with the fields of a record."""
        return cls(**{field.name: getattr(record, field.name) for field in dataclasses.fields(RunRecord)})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RunRecord):
            return NotImplemented
        return all(getattr(self, f.name) == getattr(other, f.name) for f in dataclasses.fields(RunRecord))

    def plot(self, kind: Literal["matrix", "curves"] = "matrix") -> Figure:
        """Draw the run.

        Args:
            kind (`str`, defaults to `"matrix"`):
                `matrix` draws the accuracy of each task after each task, `curves` accuracy along the stream.

        Returns:
            `matplotlib.figure.Figure`: The figure, which a notebook shows.
        """
        from ..reports.figures import curves_figure, matrix_figure

        figures = {"matrix": matrix_figure, "curves": curves_figure}
        if kind not in figures:
            raise ValueError(f"kind: must be matrix or curves, got {kind!r}")
        figure = figures[kind](self)
        # A notebook shows a plain figure only where pyplot is imported.
        figure._repr_png_ = lambda: _png(figure)  # type: ignore[attr-defined]
        return figure

    def _repr_html_(self) -> str:
        metrics = ", ".join(f"{name.replace('_', ' ')} {value:.2f}" for name, value in self.metrics.items())
        table = self.matrix.to_html(float_format="{:.1f}".format, na_rep="–", border=0)
        head = f"<b>{html.escape(self.method)}</b> on {html.escape(self.model)}: {html.escape(self.measure)} in %"
        return f"<p>{head}</p>{table}<p>{html.escape(metrics)}</p>"


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight")
    return buffer.getvalue()
