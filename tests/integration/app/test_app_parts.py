"""The parts behind the page: what is kept in memory, runs, test images, and views of them."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hf_clcl.app.lru import LeastRecentlyUsed
from hf_clcl.app.runs import Run, open_runs
from hf_clcl.app.testsets import TestSets
from hf_clcl.app.views import heatmap, matrix
from hf_clcl.app.views import run as run_view
from hf_clcl.record.run_record import RunRecord
from hf_clcl.utils.errors import UserError


def record(**values) -> RunRecord:
    given = {"method": "zscl", "model": "m", "tasks": ["a", "b"], "zero_shot": [10.0, 20.0],
             "accuracy": [[50.0, 30.0], [40.0, 60.0]], "finished": True}  # fmt: skip
    return RunRecord(**(given | values))


def test_the_least_recently_used_goes_first():
    kept = LeastRecentlyUsed(2)
    for key in ("a", "b", "a", "c"):
        kept.get(key, lambda key=key: key.upper())
    assert kept.keys() == ["a", "c"] and kept.made == 3 and kept.peek("b") is None
    weighed = LeastRecentlyUsed(10, len)
    for value in ("12345", "1234", "123456789012"):
        weighed.get(value, lambda value=value: value)
    assert weighed.keys() == ["123456789012"]


def test_what_many_ask_for_is_made_once_and_a_failure_is_not_kept():
    kept, started = LeastRecentlyUsed(2), threading.Barrier(8)

    def ask(_: int) -> str:
        started.wait()
        return kept.get("slow", lambda: time.sleep(0.1) or "made")

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(8))) == {"made"} and kept.made == 1
    with pytest.raises(ZeroDivisionError):
        kept.get("x", lambda: 1 / 0)
    assert kept.get("x", lambda: 1) == 1


def test_models_come_and_go_within_the_limit_and_stay_in_their_files(app_run: Path):
    from hf_clcl.app.encoders import Encoders

    runs = open_runs([app_run])
    encoders = Encoders(runs, models=2)
    states = runs["finetuned"].checkpoints()
    first = encoders.model(states[0])
    for state in states:
        encoders.model(state)
    assert len(encoders.models) == 2 and encoders.model(states[2]) is encoders.model(states[2])
    assert encoders.model(states[0]) is not first
    if Path("/proc/self/maps").exists():
        maps = Path("/proc/self/maps").read_text()
        assert str(app_run / "task-02-cold" / "model.safetensors") in maps


def test_mapped_weights_give_the_same_embeddings(app_run: Path):
    import torch

    from hf_clcl.app.weights import mapped_model
    from hf_clcl.models.embedding import embed_images, embed_texts
    from hf_clcl.models.loading import load_model

    folder = app_run / "task-01-warm"
    pixels, ids = torch.rand(2, 3, 16, 16), torch.tensor([[1, 5, 9, 2]])
    with torch.no_grad():
        for embed, given in ((embed_images, pixels), (embed_texts, ids)):
            torch.testing.assert_close(embed(mapped_model(folder), given), embed(load_model(folder), given))


def test_weights_of_another_type_are_loaded_as_usual(app_run: Path, tmp_path: Path):
    import torch
    from transformers import CLIPModel

    from hf_clcl.app.weights import mapped_model

    CLIPModel.from_pretrained(app_run / "task-01-warm").half().save_pretrained(tmp_path)
    assert mapped_model(tmp_path).dtype == torch.float32


def test_runs_get_names_of_their_own(tmp_path: Path):
    for place in ("x/run", "y/run", "other"):
        record().save(tmp_path / place / "results.json")
    runs = open_runs([tmp_path, tmp_path / "other"])
    assert list(runs.by_name) == ["other", "run", "y/run"]
    assert runs.checkpoint("y/run@2").label == "2 b"
    for wrong in ("nothing@1", "run@9", "run@-1", "run", "../run@0", ""):
        with pytest.raises(UserError):
            runs.checkpoint(wrong)
    with pytest.raises(UserError, match="contains no results.json"):
        open_runs([tmp_path / "x" / "nothing"])


def test_each_state_of_joint_training_is_the_one_model_of_all_tasks(tmp_path: Path):
    for name, joint in (("joint", True), ("other", False)):
        record(method="my_upper_bound", trains_jointly=joint).save(tmp_path / name / "results.json")
        for task in ("task-01-a", "task-02-b"):
            (tmp_path / name / task).mkdir()
    runs = open_runs([tmp_path])
    assert [runs["joint"].weights(index).name for index in (1, 2)] == ["task-02-b", "task-02-b"]
    assert [runs["other"].weights(index).name for index in (1, 2)] == ["task-01-a", "task-02-b"]


def test_a_run_that_trains_shows_its_new_tasks(tmp_path: Path):
    record(accuracy=[], zero_shot=None, finished=False).save(tmp_path / "results.json")
    runs = open_runs([tmp_path])
    run = runs[tmp_path.name]
    assert runs.live and not runs.refresh() and "0 of 2" in run_view.header([run])
    assert "No numbers yet" in matrix.matrix([run])
    with pytest.raises(UserError, match="not trained yet"):
        runs.checkpoint(f"{run.name}@1")
    record(accuracy=[[50.0, 30.0]], finished=False).save(tmp_path / "results.json")
    assert runs.refresh() and run.done == 1 and "after the last task" in matrix.matrix([run])
    (tmp_path / "results.json").write_text("{")
    assert not runs.refresh() and run.done == 1
    record().save(tmp_path / "results.json")
    assert runs.refresh() and not runs.live


def test_the_default_run_is_made_while_the_page_is_open(tmp_path: Path, recipe: Path, monkeypatch: pytest.MonkeyPatch):
    from hf_clcl.app import default

    started: list[list[str]] = []

    class Process:
        def __init__(self, command: list[str], env: dict[str, str]):
            started.append(command)

        def poll(self) -> int:
            return 1

    monkeypatch.setattr(default.subprocess, "Popen", Process)
    (run,) = default.default_runs(recipe, tmp_path / "made")
    assert (
        run.pending
        and run.record.tasks == ["warm", "cold"]
        and started[0][1:4] == ["-m", "hf_clcl.train", str(recipe)]
    )
    assert run.failed and "training failed" in run_view.header([run], failed=True)
    RunRecord(method="zscl", model="m", tasks=["warm", "cold"]).save(tmp_path / "made" / "results.json")
    assert run.refresh() and not run.pending
    with pytest.raises(UserError, match="does not exist"):
        default.default_runs(tmp_path / "none.yaml", tmp_path / "made")


def test_a_signal_while_the_training_starts_is_handled_once_it_can_be_ended(
    tmp_path: Path, recipe: Path, monkeypatch: pytest.MonkeyPatch
):
    """The signal comes between the start of the process and its assignment."""
    from hf_clcl.app import default

    class Process:
        def __init__(self, command: list[str], env: dict[str, str]):
            signal.raise_signal(signal.SIGTERM)

        def poll(self) -> int:
            return 0

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    monkeypatch.setattr(default.subprocess, "Popen", Process)
    run = default.DefaultRun(recipe, tmp_path / "made")
    before = signal.signal(signal.SIGTERM, end)
    try:
        with pytest.raises(SystemExit):
            run.train()
        assert isinstance(run.process, Process)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_record_from_the_hub_names_no_folder_of_this_machine(tmp_path: Path, folders: Path):
    entries = [{"name": "a", "dataset": str(folders / "warm")}, {"name": "b", "dataset": "warm"}]
    run = Run("me/run", record(recipe={"tasks": entries, "data_root": str(folders)}), repo="me/run")
    for name in ("a", "b"):
        with pytest.raises(UserError, match="--data_root"):
            TestSets().task(run, name)
    assert len(TestSets(str(folders)).task(run, "b").test) == 9
    with pytest.raises(UserError, match="--data_root"):
        TestSets(str(folders / "cold")).task(run, "a")
    with pytest.raises(UserError, match="base model"):
        Run("me/run", record(model=str(tmp_path)), repo="me/run").weights(0)


def test_cells_tell_their_change_and_seeds_make_a_band():
    html = heatmap.heatmap(record(), "best")
    assert "−10.0" in html and "−10.00 against the best so far (50.00)" in html and 'class="gain' in html
    runs = [Run(f"s{seed}", record(seed=seed, accuracy=[[50.0 + seed, 30.0], [40.0, 60.0]])) for seed in (0, 4)]
    (group,) = matrix.groups(runs)
    assert group.column("a") == ([10.0, 52.0, 40.0], [(10.0, 10.0), (50.0, 54.0), (40.0, 40.0)])
    assert 'class="band' in matrix.matrix(runs) and "zscl · 2 seeds" in matrix.matrix(runs)
    assert "best</span>" in matrix.matrix([runs[0], Run("f", record(method="finetune"))])


def test_recall_and_growing_classes_are_shown():
    recall = {"image_to_text_r1": 10.0, "image_to_text_r5": 30.0, "image_to_text_r10": 40.0}
    entry = {"zero_shot": recall, "after": [recall, {key: value + 5 for key, value in recall.items()}]}
    html = matrix.matrix([Run("r", record(retrieval={"a": entry}))])
    assert "10.0 → 15.0 (+5.0)" in html and "image to text" in html and "Accuracy or R@1 in percent" in html
    grown = record(
        scenario="class_incremental", baseline=[[80.0, None], [10.0, 20.0]], accuracy=[[50.0, None], [40.0, 60.0]]
    )
    assert "−30.00 against zero-shot (80.00)" in heatmap.heatmap(grown)
    cells = [cell for cell in matrix.numbers([Run("r", grown)]) if cell["state"] == 1]
    assert [cell["against_zero_shot"] for cell in cells] == [-30.0]
    counts = [{"task": task, "dataset": "", "classes": 2, "train": 1, "test": 10} for task in ("a", "b")]
    grown.accuracy[0], grown.datasets = [50.0, 0.0], counts
    assert "Last, incremental" in matrix.matrix([Run("r", grown)])


def test_the_page_is_built_without_torch(app_run: Path):
    """What makes the page appear at once: PyTorch, Matplotlib and the datasets come when they are needed."""
    pytest.importorskip("gradio", reason="the page needs Gradio: pip install -e '.[app]'")
    code = (
        "import sys\nfrom hf_clcl.app.runs import open_runs\nfrom hf_clcl.app.workbench import Workbench\n"
        "from hf_clcl.app.page import build\nbuild(Workbench(open_runs(sys.argv[1:])))\n"
        "print([name for name in ('torch', 'transformers', 'matplotlib', 'datasets') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(app_run)], capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "[]", done.stderr[-2000:]


def test_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    from hf_clcl.app.__main__ import main

    assert main([str(tmp_path)]) == 1
    assert "contains no results.json" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--models", "0"])
