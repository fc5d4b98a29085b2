"""Each value of `TrainingArguments` has an effect, shown by a test, or is refused before anything is loaded."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from transformers import TrainingArguments
from transformers.trainer_pt_utils import AcceleratorConfig
from transformers.utils import logging as transformers_logging

from helpers import ROOT
from hf_clcl import ContinualTrainingArguments
from hf_clcl.config.arguments import ALONE, NOT_USED, TASK_VALUES
from hf_clcl.utils.errors import RecipeError

FIELDS = {f.name: f for f in dataclasses.fields(TrainingArguments) if f.init}
# Accepted, and where a test shows the effect; `here` is this file.
EFFECTS = {
    **dict.fromkeys(TASK_VALUES, "here"),
    "lr_scheduler_type": "integration/training/test_zscl_schedule.py",
    "max_steps": "integration/training/test_trainer.py",
    "num_train_epochs": "integration/training/test_trainer.py",
    "warmup_steps": "integration/training/test_trainer.py",
    "gradient_accumulation_steps": "integration/training/test_trainer.py",
    "per_device_train_batch_size": "integration/training/test_trainer.py",
    "learning_rate": "integration/training/test_averaging_fits.py",
    "max_grad_norm": "integration/training/test_trainer.py",
    "activation_checkpointing": "integration/training/test_trainer.py",
    "dataloader_num_workers": "integration/training/test_trainer.py",
    "bf16": "integration/training/test_trainer.py",
    "output_dir": "integration/stream/test_run.py",
    "save_steps": "here",
    "logging_steps": "integration/training/test_zscl_schedule.py",
    "seed": "integration/stream/test_run.py",
    "use_cpu": "integration/training/test_trainer.py",
    "torch_compile": "integration/training/test_compile.py",
    "torch_compile_backend": "integration/training/test_compile.py",
    "push_to_hub": "integration/hub/test_hub_stream.py",
    "hub_model_id": "integration/hub/test_hub_stream.py",
    "hub_strategy": "integration/hub/test_hub_checkpoints.py",
    "report_to": "robustness/test_bad_recipes.py",
    **dict.fromkeys(
        (
            "optim_args", "fp16", "tf32", "activation_checkpointing_kwargs", "gradient_checkpointing",
            "gradient_checkpointing_kwargs", "torch_compile_mode", "torch_empty_cache_steps", "logging_strategy",
            "logging_first_step", "log_on_each_node", "log_level", "log_level_replica", "disable_tqdm", "run_name",
            "project", "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id",
            "per_device_eval_batch_size", "save_strategy", "save_total_limit", "hub_private_repo",
            "full_determinism", "data_seed", "dataloader_drop_last", "dataloader_pin_memory",
            "dataloader_prefetch_factor", "dataloader_multiprocessing_context", "ddp_find_unused_parameters",
            "ddp_bucket_cap_mb", "ddp_broadcast_buffers", "ddp_static_graph", "ddp_backend", "ddp_timeout", "debug",
            "skip_memory_metrics",
        ),
        "here",
    ),
}  # fmt: skip
# A value that is not the default, of each field that is refused.
REFUSED = {
    "eval_strategy": "steps", "eval_steps": 3, "eval_delay": 1, "eval_on_start": True, "do_train": True,
    "do_eval": True, "do_predict": True, "prediction_loss_only": True, "eval_do_concat_batches": False,
    "eval_use_gather_object": True, "eval_accumulation_steps": 2, "include_for_metrics": ["loss"],
    "batch_eval_metrics": True, "bf16_full_eval": True, "fp16_full_eval": True, "load_best_model_at_end": True,
    "metric_for_best_model": "loss", "greater_is_better": True, "auto_find_batch_size": True,
    "resume_from_checkpoint": "x", "ignore_data_skip": True, "save_only_model": True, "save_on_each_node": True,
    "enable_jit_checkpoint": True, "restore_callback_states_from_checkpoint": True, "hub_always_push": True,
    "hub_revision": "x", "hub_token": "x", "fsdp": "full_shard", "fsdp_config": {"x": 1}, "deepspeed": "x.json",
    "accelerator_config": {"split_batches": True}, "parallelism_config": None, "local_rank": 0,
    "train_sampling_strategy": "sequential", "length_column_name": "n", "dataloader_persistent_workers": True,
    "dataloader_in_order": False, "remove_unused_columns": True, "label_names": ["x"], "logging_nan_inf_filter": True,
    "neftune_noise_alpha": 1.0, "use_liger_kernel": True, "liger_kernel_config": {"rope": True}, "use_cache": True,
    "average_tokens_across_devices": False, "include_num_input_tokens_seen": "all", "optim_target_modules": "all",
}  # fmt: skip


def args_of(folder: Path, **values):
    return ContinualTrainingArguments(output_dir=str(folder), **values)


# The table


def test_every_field_is_accepted_or_refused():
    """A new version of transformers may bring fields: show their effect here, or refuse them in `NOT_USED`."""
    own = {f.name for f in dataclasses.fields(ContinualTrainingArguments)} - FIELDS.keys()
    assert EFFECTS.keys() - own | NOT_USED.keys() == FIELDS.keys()
    assert not EFFECTS.keys() & NOT_USED.keys() and REFUSED.keys() == NOT_USED.keys() and ALONE <= NOT_USED.keys()


def test_effects_are_where_the_table_says():
    for name, file in EFFECTS.items():
        text = Path(__file__ if file == "here" else ROOT / "tests" / file).read_text()
        assert name in text.split("# The table", 1)[-1], f"{name} is not in {file}"


@pytest.mark.parametrize("name", NOT_USED)
def test_a_value_without_an_effect_is_refused(tmp_path, name):
    with pytest.raises(RecipeError, match=f"{name}: cannot be set; "):
        ContinualTrainingArguments.checked({"output_dir": str(tmp_path), name: REFUSED[name]})
    if name not in ALONE and REFUSED[name] is not None:
        value = AcceleratorConfig(split_batches=True) if name == "accelerator_config" else REFUSED[name]
        with pytest.raises(RecipeError, match=f"{name}: cannot be set; "):
            args_of(tmp_path, **{name: value})


@pytest.mark.parametrize(
    "values, reason",
    [
        ({"save_strategy": "epoch"}, "save_strategy: epoch is not supported"),
        ({"save_strategy": "best"}, "save_strategy: best is not supported"),
        ({"logging_strategy": "epoch"}, "logging_strategy: epoch is not supported"),
        ({"fp16": True, "use_cpu": True}, "fp16: needs a GPU"),
        ({"tf32": True, "use_cpu": True}, "tf32: needs a GPU"),
        ({"ddp_timeout": 60, "use_cpu": True}, "ddp_timeout: needs a GPU"),
        ({"debug": "underflow_overflow tpu_metrics_debug"}, "tpu_metrics_debug is not supported"),
    ],
)
def test_single_values_that_are_refused(tmp_path, values, reason):
    with pytest.raises(RecipeError, match=reason):
        ContinualTrainingArguments.checked({"output_dir": str(tmp_path), **values})
    with pytest.raises(RecipeError, match=reason):
        args_of(tmp_path, **values)


def test_options_that_the_optimizer_does_not_use_are_refused(tmp_path):
    with pytest.raises(RecipeError, match="optim: adafactor cannot be used here: it does not use these optim_args"):
        ContinualTrainingArguments.checked({"optim": "adafactor", "optim_args": "momentum=0.9"})
    assert ContinualTrainingArguments.checked({"optim": "sgd", "optim_args": "momentum=0.9"}).optim_args


def test_values_are_accepted_again_after_they_were_processed(tmp_path):
    args = args_of(tmp_path, eval_strategy="steps", eval_steps=2, debug="underflow_overflow")
    assert args.of_task({"max_steps": 3}, tmp_path).max_steps == 3


# Training


def weights(trainer):
    trainer.train()
    return torch.cat([p.detach().flatten() for p in trainer.model.parameters()])


@pytest.mark.parametrize(
    "values",
    [
        {"optim": "sgd"}, {"weight_decay": 0.5}, {"adam_beta1": 0.5}, {"adam_beta2": 0.5}, {"adam_epsilon": 0.1},
        {"label_smoothing_factor": 0.6}, {"min_crop_scale": 0.3}, {"data_seed": 7}, {"max_grad_norm": 1e-9},
        {"lr_scheduler_type": "cosine", "lr_scheduler_kwargs": {"num_cycles": 1.5}},
        {"per_device_train_batch_size": 5, "dataloader_drop_last": True},
        {"optim": "sgd", "optim_args": "momentum=0.9"},
    ],
    ids=lambda values: "-".join(values),
)  # fmt: skip
def test_values_of_the_optimization(build, values):
    """Training differs from training without the last of these values."""
    without = dict(list(values.items())[:-1])
    assert not torch.equal(weights(build(**without)), weights(build(**values)))


def test_reference_batch_size(build):
    trainer = build("zscl", per_device_reference_batch_size=3)
    assert len(next(iter(trainer.get_train_dataloader()))["reference_pixel_values"]) == 3


@pytest.mark.parametrize("name", ["activation_checkpointing", "gradient_checkpointing"])
def test_checkpointing_and_its_options(build, name):
    kwargs = {"activation_checkpointing": "activation_checkpointing_kwargs"}.get(name, "gradient_checkpointing_kwargs")
    trainer = build(**{name: True, kwargs: {"use_reentrant": True}}, max_steps=1)
    trainer.train()
    layers = [module for module in trainer.model.modules() if getattr(module, "gradient_checkpointing", False)]
    assert layers and layers[0]._gradient_checkpointing_func.keywords["use_reentrant"] is True


def test_compile_mode(build):
    trainer = build(torch_compile_mode="reduce-overhead", torch_compile_backend="eager")
    assert trainer.accelerator.state.dynamo_plugin.mode == "reduce-overhead"


def test_full_determinism(build):
    try:
        build(full_determinism=True, max_steps=1)
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


def test_debug_finds_what_overflows(build):
    trainer = build(debug="underflow_overflow", learning_rate=1e30, max_steps=4)
    with pytest.raises(ValueError, match="inf/nan"):
        trainer.train()


def test_torch_empty_cache_steps(build, monkeypatch):
    cleared = []
    monkeypatch.setattr("transformers.trainer.clear_device_cache", lambda *args, **kwargs: cleared.append(1))
    build(torch_empty_cache_steps=2, max_steps=6).train()
    assert len(cleared) == 3


def test_memory_metrics(build):
    assert "train_mem_cpu_alloc_delta" in build(skip_memory_metrics=False, max_steps=1).train().metrics


# Logs and checkpoints


@pytest.mark.parametrize(
    "values, steps",
    [
        ({"logging_steps": 4}, [4]), ({"logging_steps": 4, "logging_first_step": True}, [1, 4]),
        ({"logging_strategy": "no"}, []), ({"logging_steps": 0.5}, [3, 6]),
    ],
)  # fmt: skip
def test_logs(build, values, steps):
    trainer = build(**values)
    trainer.train()
    assert [entry["step"] for entry in trainer.seen.logs if "loss" in entry] == steps


@pytest.mark.parametrize(
    "values, kept",
    [
        ({"save_strategy": "steps", "save_steps": 2, "save_total_limit": 1}, [4]),
        ({"save_strategy": "steps", "save_steps": 2, "save_total_limit": 3}, [2, 4]),
        ({"save_strategy": "no", "save_steps": 2}, []),
    ],
)
def test_checkpoints(build, tmp_path, values, kept):
    build(**values).train()
    assert sorted(int(path.name.split("-")[1]) for path in (tmp_path / "out").glob("checkpoint-*")) == kept


def test_log_level(build):
    before = transformers_logging.get_verbosity()
    try:
        build(log_level="error")
        assert transformers_logging.get_verbosity() == transformers_logging.ERROR
    finally:
        transformers_logging.set_verbosity(before)


def test_log_levels_of_several_processes(tmp_path, monkeypatch):
    args = args_of(tmp_path, log_level="info", log_level_replica="error", log_on_each_node=False)
    places = {"local_process_index": 0, "process_index": 4}  # the first process of a second node
    for name, value in places.items():
        monkeypatch.setattr(type(args), name, value)
    assert args.get_process_log_level() == transformers_logging.ERROR
    args.log_on_each_node = True
    assert args.get_process_log_level() == transformers_logging.INFO


@pytest.mark.parametrize("off", [True, False])
def test_disable_tqdm(build, off):
    callbacks = {type(callback).__name__ for callback in build(disable_tqdm=off).callback_handler.callbacks}
    assert ("TaskProgress" in callbacks) is not off


def test_trackers_receive_their_values(tmp_path):
    """`run_name`, `project` and those of trackio are read by the trackers from the values of each task."""
    values = {
        "run_name": "r", "project": "p", "trackio_space_id": "a/b", "trackio_bucket_id": "a/c",
        "trackio_static_space_id": "a/d", "hub_private_repo": True,
    }  # fmt: skip
    args = args_of(tmp_path, **values).of_task({}, tmp_path)
    assert {name: getattr(args, name) for name in values} == values


# Loader and processes


def test_loader(build, monkeypatch):
    seen = {}
    monkeypatch.setattr("hf_clcl.training.trainer.DataLoader", lambda data, **values: seen.update(values))
    values = {"dataloader_num_workers": 2, "dataloader_prefetch_factor": 3}
    trainer = build(**values, dataloader_multiprocessing_context="spawn", per_device_eval_batch_size=5)
    monkeypatch.setattr(trainer.accelerator.state, "device", torch.device("cuda"))
    for pinned in (True, False):
        trainer.args.dataloader_pin_memory = pinned
        trainer.get_train_dataloader()
        assert seen["pin_memory"] is pinned
    assert (seen["prefetch_factor"], seen["multiprocessing_context"]) == (3, "spawn")
    assert trainer.context.args.per_device_eval_batch_size == 5


def test_ddp(build):
    values = {
        "ddp_find_unused_parameters": True, "ddp_bucket_cap_mb": 7, "ddp_broadcast_buffers": False,
        "ddp_static_graph": True,
    }  # fmt: skip
    (handler,) = build(**values)._build_accelerator_args()["kwargs_handlers"]
    found = {name: getattr(handler, name.removeprefix("ddp_")) for name in values}
    assert found == values


def test_ddp_backend_and_timeout(tmp_path, monkeypatch):
    from transformers import training_args

    seen = {}
    state = training_args.PartialState

    def remember(*args, **values):
        seen.update(values)
        return state()

    monkeypatch.setattr(training_args, "PartialState", remember)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)  # on a CPU there is no ddp_timeout
    _ = args_of(tmp_path, ddp_backend="gloo", ddp_timeout=9).device
    assert seen["backend"] == "gloo" and seen["timeout"] == timedelta(seconds=9)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="fp16 and tf32 need a GPU")
def test_precision_of_a_gpu(build):
    trainer = build(fp16=True, tf32=True)
    assert trainer.accelerator.scaler is not None and torch.backends.cuda.matmul.allow_tf32


def test_evaluations_of_a_trainer_alone(tmp_path, tiny_clip, colours):
    from hf_clcl import ContinualTrainer
    from hf_clcl.models.loading import load_model, load_processor

    args = args_of(
        tmp_path, max_steps=6, eval_strategy="steps", eval_steps=2, eval_delay=4, eval_on_start=True,
        per_device_train_batch_size=4, save_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    trainer = ContinualTrainer(
        load_model(tiny_clip), args, "finetune", train_dataset=colours(8), eval_dataset=colours(6),
        processing_class=load_processor(tiny_clip),
    )  # fmt: skip
    trainer.train()
    assert [entry["step"] for entry in trainer.state.log_history if "eval_accuracy" in entry] == [0, 4, 6]
