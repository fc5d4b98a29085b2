"""ContinualTrainer: gradient accumulation, precision, schedules, logs, and what is frozen."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from hf_clcl import ContinualTrainer, ContinualTrainingArguments, Task, create_method
from hf_clcl.models.loading import load_model, load_processor
from hf_clcl.utils.errors import TrainingError, UserError


def weights_after(trainer):
    trainer.train()
    return {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}


def largest_difference(first, second):
    return max(float((first[name] - second[name]).abs().max()) for name in first)


def test_the_model_learns(build):
    trainer = build(max_steps=30, learning_rate=3e-3)
    trainer.train()
    losses = [entry["task_loss"] for entry in trainer.seen.logs if "task_loss" in entry]
    assert losses[-1] < losses[0] - 0.1


def test_gradient_accumulation_equals_the_larger_batch(build, tiny_clip, update_error):
    """Two halves of a batch give the gradient of the whole, and the same logged loss."""
    values = {"max_steps": 3, "optim": "sgd", "learning_rate": 0.1}  # Adam turns rounding of tiny gradients into steps
    whole = build(per_device_train_batch_size=8, **values)
    halves = build(per_device_train_batch_size=4, gradient_accumulation_steps=2, **values)
    start, one, other = load_model(tiny_clip).state_dict(), weights_after(whole), weights_after(halves)
    assert update_error(start, one, other) < 1e-3
    for one, two in zip(whole.seen.logs[:3], halves.seen.logs[:3], strict=True):
        assert one["loss"] == pytest.approx(two["loss"], abs=2e-4)  # the Trainer would log twice as much
        assert one["task_loss"] == pytest.approx(two["task_loss"], abs=2e-4)


def test_named_losses_add_up_to_the_loss(build):
    trainer = build("zscl", {"averaging_interval": 2})
    trainer.train()
    steps = [entry for entry in trainer.seen.logs if "loss" in entry]
    assert len(steps) == 6
    for entry in steps:
        parts = sum(value for name, value in entry.items() if name.endswith("_loss"))
        assert entry["loss"] == pytest.approx(parts, abs=1e-3)
    assert steps[0]["image_distillation_kl"] == pytest.approx(0, abs=1e-4)
    assert steps[-1]["image_distillation_kl"] > 0
    assert steps[0]["l2_loss"] == 0 and steps[-1]["l2_loss"] > 0


@pytest.mark.parametrize("clipped, measured", [(0, 2), (0.1, 6)])
def test_the_norm_of_gradients_is_measured_where_it_is_logged_or_clipped(build, monkeypatch, clipped, measured):
    trainer = build(max_steps=6, logging_steps=3, max_grad_norm=clipped)
    clip, calls = trainer.accelerator.clip_grad_norm_, []
    monkeypatch.setattr(trainer.accelerator, "clip_grad_norm_", lambda *args: calls.append(args) or clip(*args))
    trainer.train()
    assert len(calls) == measured
    assert [entry["grad_norm"] > 0 for entry in trainer.seen.logs if "loss" in entry] == [True, True]


@pytest.mark.parametrize(
    "towers, frozen",
    [("both", ()), ("vision", ("text_model.", "text_projection")), ("text", ("vision_model.", "visual_"))],
)
def test_only_what_is_chosen_learns(build, tiny_clip, towers, frozen):
    before = load_model(tiny_clip).state_dict()
    after = weights_after(build(trainable=towers))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert "logit_scale" not in changed
    assert not [name for name in changed if name.startswith(frozen)] or not frozen
    assert [
        name for name in changed if name.startswith("visual_projection" if towers != "text" else "text_projection")
    ]


def test_logit_scale_learns_where_asked(build, tiny_clip):
    before = load_model(tiny_clip).logit_scale.item()
    assert weights_after(build(train_logit_scale=True))["logit_scale"].item() != before


def test_optimizer_and_schedule_are_fresh_for_each_task(build):
    """Two trainers on one model equal a model that is loaded anew in between: nothing is carried over but weights."""
    model = build(max_steps=4, warmup_steps=2, lr_scheduler_type="linear")
    model.train()
    copy = {name: tensor.clone() for name, tensor in model.model.state_dict().items()}
    second = build(model=model.model, max_steps=4, warmup_steps=2, lr_scheduler_type="linear")
    continued = weights_after(second)
    anew = build(max_steps=4, warmup_steps=2, lr_scheduler_type="linear")
    anew.model.load_state_dict(copy)
    assert largest_difference(continued, weights_after(anew)) == 0
    rates = [entry["learning_rate"] for entry in second.seen.logs if "learning_rate" in entry]
    assert rates[0] < rates[1] and max(rates) == pytest.approx(1e-3)


# bf16 rounds at 2e-3: tens of roundings in a row leave an error of some hundredths of a gradient. One step is enough:
# later ones also train on the distance between teacher and student, which is mostly rounding in a short training.
@pytest.mark.parametrize(
    "values, limit",
    [
        ({"bf16": True, "max_steps": 1}, 0.1),
        ({"activation_checkpointing": True}, 1e-3),
        ({"dataloader_num_workers": 2}, 1e-3),
    ],
)
def test_precision_checkpointing_and_workers_change_little(build, tiny_clip, update_error, values, limit):
    sgd = {"optim": "sgd", "learning_rate": 0.01, "max_steps": values.get("max_steps", 6)}
    plain, other = weights_after(build("zscl", **sgd)), weights_after(build("zscl", **{**sgd, **values}))
    assert update_error(load_model(tiny_clip).state_dict(), plain, other) < limit


def test_steps_do_not_run_backwards_in_a_tracker(build):
    trainer = build()
    trainer.step_offset = 100
    trainer.train()
    assert [entry["step"] for entry in trainer.seen.logs if "loss" in entry] == [101, 102, 103, 104, 105, 106]


def test_epochs_count_the_tasks_images(build):
    trainer = build(max_steps=-1, num_train_epochs=2)  # 24 images in batches of 8
    trainer.train()
    assert trainer.args.max_steps == 6
    assert [entry["epoch"] for entry in trainer.seen.logs if "loss" in entry][-1] == pytest.approx(2.0)


def test_a_warm_up_longer_than_the_task_is_cut_with_a_warning(build, caplog):
    import logging

    logging.getLogger("transformers").addHandler(caplog.handler)  # its loggers do not propagate
    logger = logging.getLogger("hf_clcl")
    logger.addHandler(caplog.handler)
    try:
        trainer = build(max_steps=20, warmup_steps=100)
    finally:
        logger.removeHandler(caplog.handler)
        logging.getLogger("transformers").removeHandler(caplog.handler)
    assert trainer.args.warmup_steps == 2
    assert "would never end" in caplog.text


def test_a_loss_that_is_not_finite_stops_the_task(build):
    trainer = build(learning_rate=1e12)
    with pytest.raises(TrainingError, match=r"colours: .*not a finite number.*Lower learning_rate"):
        trainer.train()


def test_teacher_and_student_share_no_storage(build):
    trainer = build("zscl")
    student = {tensor.data_ptr() for tensor in trainer.model.state_dict().values()}
    teacher = trainer.context.initial_model()
    assert not student & {tensor.data_ptr() for tensor in teacher.state_dict().values()}
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_captions_are_learnt_with_the_contrastive_loss(tiny_clip, colours, tmp_path):
    data = colours(24)
    texts = [[f"a {data.features['label'].names[label]} thing", "noise"] for label in data["label"]]
    task = Task("pairs", train=data.add_column("captions", texts), caption_column="captions")
    args = ContinualTrainingArguments(
        output_dir=str(tmp_path), max_steps=4, per_device_train_batch_size=8, save_strategy="no", disable_tqdm=True
    )
    trainer = ContinualTrainer(
        load_model(tiny_clip),
        args,
        method=create_method("finetune"),
        train_dataset=task,
        processing_class=load_processor(tiny_clip),
    )
    batch = trainer.get_train_dataloader().dataset[0]
    assert batch["input_ids"].shape[0] == 8 and "labels" not in batch
    assert trainer.train().global_step == 4


def test_task_arguments_can_be_replaced(tmp_path):
    args = ContinualTrainingArguments(output_dir=str(tmp_path), bf16=True, max_steps=9)
    again = dataclasses.replace(args, learning_rate=0.5)
    assert (again.max_steps, again.learning_rate, again.bf16) == (9, 0.5, True)


def test_workers_are_chosen_by_cores_where_a_device_trains(monkeypatch, tmp_path):
    from hf_clcl.config import arguments

    def workers(**values):
        return ContinualTrainingArguments(output_dir=str(tmp_path), **values).dataloader_num_workers

    assert workers(use_cpu=True) == 0 and workers(dataloader_num_workers=3) == 3
    for cores, processes, expected in [(1, 1, 1), (4, 1, 3), (64, 1, 8), (16, 8, 1)]:
        monkeypatch.setattr(arguments.os, "sched_getaffinity", lambda pid, cores=cores: set(range(cores)))
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
        assert arguments._workers() == expected


@pytest.mark.parametrize("divides", [True, False])
def test_a_checkpoint_with_deepspeed_and_one_without_are_not_mixed_up(build, tmp_path: Path, divides: bool) -> None:
    trainer, before = build(), "without" if divides else "with"
    trainer.shards_optimizer = divides
    (tmp_path / ("optimizer.pt" if divides else "optimizer_0.pt")).touch()
    with pytest.raises(UserError, match=f"was saved {before} DeepSpeed.* Start the run {before} DeepSpeed, or remove"):
        trainer._load_optimizer_and_scheduler(str(tmp_path))
