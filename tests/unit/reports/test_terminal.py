"""The tables of the terminal: readable without colours and in 80 columns."""

import io
import re

import pytest
from rich.console import Console

from hf_clcl.record.run_record import RunRecord
from hf_clcl.reports.terminal import gain_mark, number, print_results, print_stream


def stream(tasks: int, finished: int | None = None, outside: int = 0, name: str = "task_with_name") -> RunRecord:
    """Task `i` starts at 50, falls by `i` points at each step, and stands at 100 when it is trained."""
    names = [f"{name}_{i}" for i in range(tasks)]
    rows = [[100.0 if i == j else 50.0 - i for i in range(tasks)] for j in range(tasks)][:finished]
    others = {f"other_{i}": {"zero_shot": 60.0, "accuracy": [60.0 + i] * len(rows)} for i in range(outside)}
    return RunRecord("zscl", "me/clip", names, [50.0] * tasks, rows, evaluation_only=others)


def printed(record: RunRecord, width: int = 80, colours: bool = False) -> str:
    file = io.StringIO()
    system = "truecolor" if colours else None
    print_results(
        record, Console(file=file, width=width, force_terminal=colours, color_system=system, legacy_windows=False)
    )
    return file.getvalue()


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_three_tasks_with_names() -> None:
    text = printed(stream(3, outside=1, name="first"))
    assert text.isascii()
    table = rows(text)
    assert table[0] == ["after", "task", "first_0", "first_1", "first_2", "other_0"]
    assert table[1] == ["zero-shot", "50.0", "50.0", "50.0|", "60.0"]
    assert table[3] == ["2", "first_1", "50.0", "*100.0+", "48.0-|", "60.0"]
    assert "evaluated, never trained on: a other_0" in text
    for words in ("Transfer", "Average", "Last", "Forgetting", "Backward transfer", "Zero-shot degradation"):
        assert re.search(rf"^{words} +-?\d+\.\d\d  \w+", text, re.MULTILINE), words


@pytest.mark.parametrize(("tasks", "outside"), [(1, 0), (3, 1), (8, 1), (11, 0), (11, 2), (25, 3)])
@pytest.mark.parametrize("width", [60, 80, 200])
def test_every_value_is_there_at_every_width(tasks: int, outside: int, width: int) -> None:
    text = printed(stream(tasks, outside=outside), width)
    assert max(map(len, text.splitlines())) <= width
    assert len(re.findall(r"\*100(\.0)?\+", text)) == tasks
    losses = tasks * (tasks - 1) - (tasks - 1)  # all but the diagonal and the first task, which stays at 50
    assert len(re.findall(r"\d-", text)) == losses


def test_columns_are_numbered_where_names_do_not_fit() -> None:
    table = rows(printed(stream(8, outside=1, name="longish")))
    assert table[0] == ["after", "task", *"12345678", "a"]
    assert "*100.0+" in table[2]  # eight tasks and one more dataset still have their decimal
    table = rows(printed(stream(11, outside=1)))
    assert table[0] == ["after", "task", *map(str, range(1, 12)), "a"]
    assert "*100+" in table[2]


def test_colours_tell_gain_from_loss_and_the_diagonal_is_bold() -> None:
    text = printed(stream(3, name="a"), colours=True)
    assert "\x1b[1;32m*100.0+" in text and "\x1b[31m  48.0-" in text


def test_an_unfinished_stream_says_so() -> None:
    text = printed(stream(3, finished=1))
    assert "1 of 3 tasks are finished: metrics that need the rest are left out." in text
    assert ["3", "task_with_name_2", ".", ".", "."] in rows(text)
    assert "Average" not in text and "finished:" not in printed(stream(3))


def test_what_was_not_measured_is_a_question_mark() -> None:
    record = stream(2)
    record.zero_shot, record.accuracy[1][0] = None, None
    assert ["2", "task_with_name_1", "?", "*100.0"] in rows(printed(record))


def test_names_are_never_markup() -> None:
    record = stream(2)
    record.tasks = ["[bold]", "[/red]"]
    record.evaluation_only = {"[x]": {"zero_shot": 1.0, "accuracy": [1.0, 1.0]}}
    assert all(name in printed(record) for name in ("[bold]", "[/red]", "[x]"))


def test_marks_and_numbers() -> None:
    assert [gain_mark(a, b) for a, b in [(51, 50), (49, 50), (50.04, 50), (None, 50), (50, None)]] == [
        "+",
        "-",
        *"   ",
    ]
    assert number(-0.001, 2) == "0.00" and number(99.96) == "100.0"


def test_the_stream_of_a_dry_run() -> None:
    file = io.StringIO()
    row = {
        "task": "[pets]",
        "train": 3680,
        "test": 3669,
        "classes": 37,
        "prompt": "a photo of a [b]cat[/b].",
        "steps": None,
    }
    print_stream([row, {**row, "task": "cars", "prompt": "a car " * 30}], console=Console(file=file, width=80))
    table = rows(file.getvalue())
    assert table[0] == ["task", "train", "test", "classes", "steps", "first", "prompt"]
    assert table[1][:5] == ["1", "[pets]", "3,680", "3,669", "37"] and "[b]cat[/b]." in file.getvalue()
    assert max(map(len, file.getvalue().splitlines())) <= 80 and file.getvalue().count("car ") >= 25
