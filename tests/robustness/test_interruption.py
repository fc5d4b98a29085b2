"""Signals: the step in progress is saved, the exit code tells, and the same command goes on to the same end."""

import contextlib
import os
import signal
from pathlib import Path

import pytest
from safetensors.torch import load_file

from hf_clcl.cli.train import main
from hf_clcl.evaluation.evaluator import StreamEvaluation
from hf_clcl.methods import Method
from hf_clcl.stream import output as output_module
from hf_clcl.stream.output import RUNNING, OutputFolder
from hf_clcl.training.interruption import Interrupted, Interruption

HANDLERS = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


def at_call(monkeypatch: pytest.MonkeyPatch, cls: type, name: str, call: int, number: int) -> None:
    """Send this process a signal in the given call of a method."""
    original, calls = getattr(cls, name), []

    def interrupted(self, *args, **kwargs):
        calls.append(None)
        if len(calls) == call:
            os.kill(os.getpid(), number)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(cls, name, interrupted)


@pytest.fixture(autouse=True)
def heard():
    """Signals are as in a terminal, also where the tests run in the background, which ignores SIGINT."""
    before = {number: signal.signal(number, handler) for number, handler in HANDLERS.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def run(recipe: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("plot_matrix", "plot_curves"):
        monkeypatch.setattr(output_module, name, lambda *args: None)

    def command(folder: str) -> int:
        return main([str(recipe), "--output_dir", str(recipe.parent / folder), "--max_steps", "4"])

    return command


def weights(folder: Path) -> dict:
    return {path.parent.name: load_file(path) for path in folder.glob("task-*/model.safetensors")}


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_the_step_in_progress_and_the_run_goes_on(
    run, recipe: Path, monkeypatch, capsys, number: int, code: int
) -> None:
    out = recipe.parent / "stopped"
    with monkeypatch.context() as patch:
        at_call(patch, Method, "terms", 3, number)
        assert run("stopped") == code
    assert [path.name for path in out.rglob("checkpoint-*")] == ["checkpoint-3"]
    assert "the same command resumes" in capsys.readouterr().err
    assert signal.getsignal(number) == HANDLERS[number]
    assert run("stopped") == 0 and run("undisturbed") == 0
    stopped, undisturbed = weights(out), weights(recipe.parent / "undisturbed")
    assert stopped.keys() == undisturbed.keys() and len(stopped) == 2
    for task, tensors in undisturbed.items():
        assert all((stopped[task][name] == tensor).all() for name, tensor in tensors.items())


def test_two_runs_do_not_share_a_folder(run, recipe: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(output_module, "LOCK_SECONDS", 0.2)
    folder = recipe.parent / "out"
    first = OutputFolder(folder, writes=True)
    first.claim()
    assert run("out") == 1
    assert f"another run uses {folder}; wait for its end" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == [RUNNING]
    first.close()
    assert run("out") == 0 and not (folder / RUNNING).exists()


def test_a_task_at_its_last_step_is_finished_and_saved(run, recipe: Path, monkeypatch) -> None:
    at_call(monkeypatch, Method, "terms", 4, signal.SIGTERM)
    assert run("out") == 143
    assert [path.name for path in (recipe.parent / "out").glob("task-*")] == ["task-01-warm"]


def test_outside_training_nothing_waits(run, recipe: Path, monkeypatch) -> None:
    at_call(monkeypatch, StreamEvaluation, "measure", 1, signal.SIGTERM)
    assert run("out") == 143
    assert not list((recipe.parent / "out").glob("task-*"))


def test_a_second_signal_stops_at_once() -> None:
    with pytest.raises(Interrupted, match="SIGINT"), Interruption() as interruption:
        interruption._waits = True
        os.kill(os.getpid(), signal.SIGTERM)
        assert interruption.requested == signal.SIGTERM
        os.kill(os.getpid(), signal.SIGINT)


def test_a_signal_that_a_library_drops_is_not_lost() -> None:
    with pytest.raises(Interrupted, match="SIGINT"), Interruption():
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_ignored_signals_stay_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interruption():
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
