"""`torch_compile`: the same numbers, and tasks with other class counts compile nothing anew."""

from __future__ import annotations

import logging

import pytest
import torch
from safetensors.torch import load_file
from torch._dynamo.utils import counters

from hf_clcl import ContinualTrainingArguments, Task
from hf_clcl.training.trainer import ContinualTrainer

COMPILED = {"torch_compile": True, "torch_compile_backend": "aot_eager"}  # all but the generation of code


@pytest.fixture
def graphs(monkeypatch):
    """How many graphs each task compiles."""
    torch.compiler.reset()
    train, compiled = ContinualTrainer.train, []

    def counted(trainer, *args, **kwargs):
        before = counters["stats"]["unique_graphs"]
        output = train(trainer, *args, **kwargs)
        compiled.append(counters["stats"]["unique_graphs"] - before)
        return output

    monkeypatch.setattr(ContinualTrainer, "train", counted)
    yield compiled
    torch.compiler.reset()


def test_what_transformers_says_of_compiling_is_said_once(tmp_path, monkeypatch):
    said = []
    logger = logging.getLogger("transformers.training_args")
    monkeypatch.setattr(logger, "filters", [type(logger.filters[0])()])
    monkeypatch.setattr(logger, "callHandlers", lambda record: said.append(record.getMessage()))
    args = ContinualTrainingArguments(output_dir=str(tmp_path), use_cpu=True, **COMPILED)
    args.of_task({}, tmp_path)
    assert len(said) == len(set(said)) and any("torchdynamo" in message for message in said)


def weights_of(folder):
    return {path.parent.name: load_file(path) for path in folder.glob("task-*/model.safetensors")}


@pytest.mark.slow
@pytest.mark.parametrize(
    "method, options, values",
    [("zscl", None, {}), ("vr_lwf", {"number": 3}, {}), ("finetune", None, {"checkpoint_texts_above": 1})],
)
def test_a_compiled_stream_has_the_same_weights(
    short_stream, graphs, tiny_clip, update_error, tmp_path, method, options, values
):
    values = {**values, "optim": "sgd", "learning_rate": 0.1}  # Adam turns rounding of tiny gradients into steps
    short_stream(tmp_path / "plain", method, options, **values)
    assert graphs == [0, 0]
    short_stream(tmp_path / "compiled", method, options, **values, **COMPILED)
    assert graphs[2] >= 1
    plain, compiled = weights_of(tmp_path / "plain"), weights_of(tmp_path / "compiled")
    assert plain.keys() == compiled.keys() and len(plain) == 2
    start = load_file(tiny_clip / "model.safetensors")
    for task, weights in plain.items():
        assert update_error(start, weights, compiled[task]) < 1e-3


@pytest.mark.slow
def test_other_class_counts_compile_nothing_anew(short_stream, colours, graphs, tmp_path):
    tasks = []
    for number, count in enumerate((3, 3, 7, 2)):
        data = colours(count * 6, seed=number).remove_columns("label")
        data = data.add_column("label", [row % count for row in range(len(data))])
        names = [f"thing{' of a kind' * (number % 2)} {name}" for name in range(count)]
        tasks.append(Task(f"t{number}", train=data, test=data, class_names=names))
    short_stream(tmp_path, "zscl", max_steps=2, tasks=tasks, **COMPILED)
    assert graphs == [1, 0, 0, 0]
