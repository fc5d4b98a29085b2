"""A stream in several scenarios at once: matrices, metrics, tables and the card."""

import pytest

from hf_clcl.record.run_record import RunRecord
from hf_clcl.reports.comparison import as_csv, as_markdown, group_runs


@pytest.mark.parametrize("method", ["finetune", "joint", "icarl"])
def test_every_scenario_of_a_run(tmp_path, tiny_clip, colours, method):
    """A stream of two tasks in all scenarios, whose matrices agree where the choices do."""
    from hf_clcl import Task, run_stream

    tasks = [
        Task(name, train=colours(9, seed), test=colours(6, seed + 1)) for name, seed in (("warm", 0), ("cold", 9))
    ]
    tasks[1].class_names = ["crimson", "lime", "navy"]
    scenarios = ["class_incremental", "task_incremental", "domain_agnostic"]
    record = run_stream(
        str(tiny_clip), tasks, method, scenarios=scenarios, output_dir=str(tmp_path), max_steps=2,
        per_device_train_batch_size=4, learning_rate=1e-3, disable_tqdm=True,
    )  # fmt: skip
    assert record == RunRecord.load(tmp_path) and record.all_scenarios == scenarios
    own, everything = (record.of(name) for name in scenarios[1:])
    assert record.accuracy[0][0] == own.accuracy[0][0] and record.accuracy[1] == everything.accuracy[1]
    assert record.zero_shot == everything.zero_shot == record.baseline[1]
    assert record.metrics["incremental_last"] == pytest.approx(sum(record.accuracy[1]) / 2)
    assert {"transfer", "average", "last"} <= own.metrics.keys() and "transfer" not in record.metrics
    rows = group_runs([record])
    assert as_csv(rows).startswith("method,note,model,tasks,runs,") and "last" in as_markdown(rows).lower()
    assert ("Avg (incr.)" in as_markdown(rows)) == (method != "joint") and "Transfer" not in as_markdown(rows)
    card = (tmp_path / "README.md").read_text()
    assert "Average, incremental" in card and "The same model, among the classes of the image's own task" in card
