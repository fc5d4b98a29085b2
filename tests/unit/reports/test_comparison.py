"""Runs side by side: grouping over seeds, published rows, files, and errors without a traceback."""

import csv
import json
import re
from pathlib import Path

import pytest

from hf_clcl.cli.compare import find_records, main
from hf_clcl.record.repetitions import decisive_values
from hf_clcl.record.run_record import RunRecord
from hf_clcl.reports.comparison import Row, as_csv, as_markdown, group_runs, read_published
from hf_clcl.reports.pareto import pareto_front, plot_comparison


def run(method: str, seed: int, last: float = 80.0, finished: int = 2, **recipe: object) -> RunRecord:
    rows = [[90.0, 50.0], [70.0, last]][:finished]
    phases = [{"phase": "training", "task": "a", "seconds": 100.0 + seed, "peak_memory_mb": 500.0}]
    recipe = {"method": method, "seed": seed, "output_dir": f"outputs/{seed}", **recipe}
    return RunRecord(method, "me/clip", ["a", "b"], [40.0, 60.0], rows, recipe=recipe, seed=seed, phases=phases)


def published(path: Path) -> Path:
    content = {"model": "me/clip", "tasks": ["A", "B"], "methods": {"zscl": {"accuracy": [[90, 60], [80, 85]]}}}
    path.write_text(json.dumps(content))
    return path


def test_runs_of_one_recipe_are_grouped_over_seeds() -> None:
    rows = group_runs(
        [run("zscl", 1, 80.0), run("finetune", 1), run("zscl", 2, 84.0), run("zscl", 3, learning_rate=1.0)]
    )
    assert [(row.method, row.runs) for row in rows] == [("zscl", 2), ("finetune", 1), ("zscl", 1)]
    assert rows[0].mean("last") == 76.0 and rows[0].deviation("last") == pytest.approx(2**0.5)
    assert rows[0].cell("last") == "76.00 ± 1.41" and rows[0].cell("seconds") == "102 ± 1"
    assert rows[1].cell("last") == "75.00" and rows[1].deviation("last") is None


def test_unfinished_runs_are_marked_and_never_averaged() -> None:
    rows = group_runs([run("zscl", 1), run("zscl", 2, finished=1)])
    assert [(row.note, row.cell("last")) for row in rows] == [("", "75.00"), ("1 of 2 tasks", "–")]
    assert "| zscl (1 of 2 tasks) | 50.00 | – | – | – |" in as_markdown(rows)


def test_published_rows_are_marked(tmp_path: Path) -> None:
    rows = group_runs([run("zscl", 1)]) + read_published(published(tmp_path / "p.json"))
    assert "| zscl (published) | 60.00 | 78.75 | 82.50 | 10.00 | – | – |" in as_markdown(rows)
    lines = list(csv.DictReader(as_csv(rows).splitlines()))
    assert [(line["note"], float(line["last"]), line["last_std"]) for line in lines] == [
        ("", 75.0, ""), ("published", 82.5, ""),
    ]  # fmt: skip


def test_model_and_stream_are_shown_where_they_differ() -> None:
    other = run("lwf", 1)
    other.tasks, other.model = ["x", "y"], "me/large"
    head = as_markdown(group_runs([run("zscl", 1), other])).splitlines()
    assert head[0].startswith("| method | model | stream | Transfer") and "| me/large | 2 tasks: x ... y |" in head[3]
    assert as_markdown(group_runs([run("zscl", 1)])).startswith("| method | Transfer")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (1, 2):
        run("zscl", seed).save(tmp_path / "runs" / str(seed) / "results.json")
    run("a|<b>", 1).save(tmp_path / "other.json")
    arguments = [str(tmp_path / "runs"), str(tmp_path / "runs" / "1"), str(tmp_path / "other.json")]
    assert (
        main([*arguments, "--published", str(published(tmp_path / "p.json")), "--output", str(tmp_path / "out")]) == 0
    )
    out = capsys.readouterr().out
    assert re.search(r"^zscl x2 +50.0 ± 0.0 +72.5 ± 0.0 ", out, re.MULTILINE) and "\nzscl* " in out
    assert "* published; x: runs over seeds" in out and "rows differ in stream" not in out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "comparison.csv", "comparison.md", "comparison.png", "comparison.svg",
    ]  # fmt: skip
    assert "zscl (2 seeds)" in (tmp_path / "out" / "comparison.svg").read_text()
    assert "| a\\|&lt;b&gt; |" in (tmp_path / "out" / "comparison.md").read_text()


def test_a_run_given_twice_counts_once(tmp_path: Path) -> None:
    run("zscl", 1).save(tmp_path / "results.json")
    assert len(find_records([tmp_path, tmp_path / "results.json"])) == 1


@pytest.mark.parametrize(
    ("content", "message"), [(None, "nothing.json: cannot be read"), ("{", "is not a record"), ("[]", "JSON object")]
)
def test_bad_runs_end_with_a_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, message: str
) -> None:
    path = tmp_path / "nothing.json"
    if content is not None:
        path.write_text(content)
    assert main([str(path), "--output", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_an_empty_folder_ends_with_a_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert "has no results.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"tasks": ["a"], "methods": {"m": {}}}', '{"tasks": 3, "methods": {}}',
                '{"tasks": ["a"], "methods": {"m": {"accuracy": [[1, 2]]}}}', '{"tasks": ["a"], "methods": []}'],
)  # fmt: skip
def test_bad_published_files_end_with_a_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    run("zscl", 1).save(tmp_path / "results.json")
    (tmp_path / "p.json").write_text(content)
    assert main([str(tmp_path), "--published", str(tmp_path / "p.json"), "--output", str(tmp_path / "out")]) == 2
    assert "is not a file of published matrices" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_ends_with_a_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("zscl", 1).save(tmp_path / "results.json")
    assert main([str(tmp_path), "--output", str(tmp_path / "results.json" / "x")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_runs_of_one_method_are_told_apart_by_their_values() -> None:
    rows = group_runs(
        [
            run("imm", 1, methods={"imm": {"merge": "mean"}}),
            run("imm", 1, methods={"imm": {"merge": "mode"}}),
            run("zscl", 1),
            run("zscl", 1, peft={}),
            run("lwf", 1, learning_rate=1.0),
        ]
    )
    assert [row.name for row in rows] == ["imm, merge mean", "imm, merge mode", "zscl", "zscl, LoRA", "lwf"]


@pytest.mark.parametrize("method", ["joint", "my_upper_bound"])
def test_joint_training_has_a_last_accuracy_and_nothing_else(method: str) -> None:
    joint = run(method, 1)
    joint.trains_jointly = True
    (row,) = group_runs([joint])
    assert row.cell("last") == "75.00" and row.cell("transfer") == row.cell("forgetting") == "–"


def points(**places: tuple[float, float]) -> list[Row]:
    return [Row(n, "m", ("a",), {"last": [x], "transfer": [y]}) for n, (x, y) in places.items()]


def test_the_pareto_front_holds_what_nothing_beats_in_both() -> None:
    rows = points(low=(1, 9), beaten=(2, 4), best=(3, 5), same_last=(3, 4), far=(4, 1))
    assert [row.method for row in pareto_front(rows)] == ["low", "best", "far"]


def test_the_plot_names_every_run_and_what_it_cost(tmp_path: Path) -> None:
    rows = points(first=(40, 30), second=(40.1, 30.05), third=(42, 28))
    for place, row in enumerate(rows):
        row.values["seconds"] = [100.0 + place]
    rows.append(Row("joint", "m", ("a",), {"last": [50.0]}))
    plot_comparison(rows, tmp_path)
    drawn = (tmp_path / "comparison.svg").read_text()
    assert all(f">{name}<" in drawn for name in ("first", "second", "third", "joint: Last", "seconds", "102"))
    assert "peak memory" not in drawn


def test_an_empty_block_sets_a_run_apart_and_remarks_do_not() -> None:
    assert decisive_values({"peft": {}}) == {"peft": {}} != decisive_values({})
    task = {"name": "a", "dataset": "b"}
    assert decisive_values({"tasks": [{**task, "licence": "MIT"}], "output_dir": "x"}) == decisive_values(
        {"tasks": [task], "methods": {"lwf": {"temperature": 3.0}}}
    )
