"""The progress bar of a task: its name, where it resumes, the last loss."""

from __future__ import annotations

from transformers import TrainerControl, TrainerState, TrainingArguments

from hf_clcl.training.progress import TaskProgress


def test_the_bar_of_a_resumed_task(tmp_path, capsys):
    args, control = TrainingArguments(str(tmp_path), use_cpu=True), TrainerControl()
    state = TrainerState(max_steps=10, global_step=4)
    bar = TaskProgress("task 2: flowers")
    bar.on_train_begin(args, state, control)
    assert (bar.training_bar.n, bar.training_bar.initial, bar.training_bar.total) == (4, 4, 10)
    state.global_step = 6
    bar.on_step_end(args, state, control)
    assert bar.training_bar.n == 6
    bar.on_log(args, state, control, logs={"loss": 1.25, "learning_rate": 1e-5})
    bar.on_log(args, state, control, logs={"train_runtime": 3.0})
    bar.training_bar.refresh()
    bar.on_train_end(args, state, control)
    shown = capsys.readouterr().err
    assert "task 2: flowers: " in shown and "6/10" in shown and "loss 1.250, lr 1.0e-05" in shown
    assert "train_runtime" not in shown and bar.training_bar is None


def test_only_the_first_process_shows_a_bar(tmp_path, capsys):
    args, control = TrainingArguments(str(tmp_path), use_cpu=True), TrainerControl()
    state = TrainerState(max_steps=10, is_world_process_zero=False)
    bar = TaskProgress("task 1: a")
    for event in (bar.on_train_begin, bar.on_step_end, bar.on_log, bar.on_train_end):
        event(args, state, control)
    assert capsys.readouterr().err == ""
