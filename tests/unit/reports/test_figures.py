"""The plots: there, whole, the same every time, and with the numbers in them."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

from hf_clcl.record.run_record import RunRecord
from hf_clcl.reports import figures as plots
from hf_clcl.reports.figures import _gain_colour, _short, plot_curves, plot_matrix
from hf_clcl.stream import output


def stream(tasks: int = 3, finished: int | None = None) -> RunRecord:
    names = [f"a_long_task_name_<{i}>_$x_{i}$" for i in range(tasks)]
    rows = [[round(90.5 - 3 * i - 2 * j, 1) for i in range(tasks)] for j in range(tasks)][:finished]
    other = {"other": {"zero_shot": 61.5, "accuracy": [60.5] * len(rows)}}
    return RunRecord("zscl", "me/clip", names, [40.5] * tasks, rows, evaluation_only=other)


def words(path: Path) -> list[str]:
    return ["".join(node.itertext()).strip() for node in ElementTree.parse(path).iter() if node.tag.endswith("}text")]


@pytest.mark.parametrize(("tasks", "finished"), [(1, 1), (3, 0), (3, 2), (11, 11)])
def test_every_number_of_the_matrix_is_written(tmp_path: Path, tasks: int, finished: int) -> None:
    record = stream(tasks, finished)
    png, svg = plot_matrix(record, tmp_path)
    written = words(svg)
    values = [*record.zero_shot, 61.5, *(v for row in record.accuracy for v in row), *[60.5] * finished]
    assert sorted(w for w in written if re.fullmatch(r"\d+\.\d", w)) == sorted(map(str, values))
    assert "zero-shot" in written and "other" in written
    with Image.open(png) as image:
        assert min(image.size) > 200


def test_the_task_just_trained_is_framed() -> None:
    axes = plots._matrix_figure(stream(3, finished=2)).axes[0]
    frames = [patch.get_bbox() for patch in axes.patches if not patch.get_fill()]
    centres = [((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2) for box in frames]
    assert centres == [pytest.approx((0, 1)), pytest.approx((1, 2))]  # the zero-shot row is row 0


@pytest.mark.parametrize("tasks", [1, 3, 11])
def test_curves_have_a_panel_for_each_dataset(tmp_path: Path, tasks: int) -> None:
    record = stream(tasks)
    png, svg = plot_curves(record, tmp_path)
    written = " ".join(words(svg))
    assert all(_short(name, 26) in written for name in record.tasks) and "other" in written
    assert "stroke-dasharray" in svg.read_text()
    with Image.open(png) as image:
        assert image.width > 500


def test_curves_mark_training_and_dash_what_is_never_trained() -> None:
    figure = plots._curves_figure(stream(3, finished=2))
    panels = [axes for axes in figure.axes if axes.get_visible()]
    marked = [[line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"] for axes in panels]
    assert marked == [[1], [2], [], []]
    assert [any(line.get_linestyle() == "--" for line in axes.lines) for axes in panels] == [False] * 3 + [True]
    assert [list(line.get_ydata()) for line in panels[0].lines if line.get_marker() == "."] == [[40.5, 90.5, 88.5]]


def test_the_same_record_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (plot_matrix(stream(), tmp_path / n) + plot_curves(stream(), tmp_path / n) for n in "ab")
    assert [p.name for p in first] == ["matrix.png", "matrix.svg", "curves.png", "curves.svg"]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(first, second, strict=True))


def test_what_was_not_measured_is_a_dash(tmp_path: Path) -> None:
    record = RunRecord("zscl", "m", ["a", "b"], None, [[50.0, None]])
    assert words(plot_matrix(record, tmp_path)[1]).count("–") == 3
    plot_curves(record, tmp_path)


def test_a_failed_plot_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = [path.read_bytes() for path in plot_matrix(stream(), tmp_path)]
    save = Figure.savefig

    def fail(self: Figure, file: object, format: str, **options: object) -> None:
        if format == "svg":
            raise OSError("disk full")
        save(self, file, format=format, **options)

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        plot_matrix(stream(2), tmp_path)
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == old


def test_colours_tell_gain_from_loss() -> None:
    red, _, blue = (int(_gain_colour(80, 40)[i : i + 2], 16) for i in (1, 3, 5))
    assert blue > red
    red, _, blue = (int(_gain_colour(20, 60)[i : i + 2], 16) for i in (1, 3, 5))
    assert red > blue
    assert _gain_colour(None, 1) == _gain_colour(1, None) and _gain_colour(50, 50) != _gain_colour(52, 50)


def test_plots_of_a_run_that_goes_on_are_drawn_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They cost more than a short task; the record and the card are written each time, a finished run shows all."""
    drawn, clock = [], [0.0]
    monkeypatch.setattr(output, "plot_matrix", lambda record, folder: drawn.append(len(record.accuracy)))
    monkeypatch.setattr(output, "plot_curves", lambda record, folder: None)
    monkeypatch.setattr(output.time, "monotonic", lambda: clock[0])
    folder = output.OutputFolder(tmp_path, writes=True, plot_seconds=30.0)
    for finished, second in ((1, 0.0), (2, 29.0), (3, 31.0)):
        clock[0] = second
        record = stream(4, finished=finished)
        record.finished = False
        folder.write(record)
        assert len(RunRecord.load(tmp_path).accuracy) == finished
    assert drawn == [1, 3]
    record = stream(4)
    record.finished = True
    folder.write(record)
    folder.write(record)
    assert drawn == [1, 3, 4, 4]
    pushed = output.OutputFolder(tmp_path, writes=True)
    record.finished = False
    pushed.write(record)
    pushed.write(record)
    assert drawn == [1, 3, 4, 4, 4, 4]
