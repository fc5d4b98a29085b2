"""ContinualTrainer without a stream, as in a notebook: plain datasets, a loaded model, and clear errors."""

from __future__ import annotations

import copy
import re

import pytest
import torch
from datasets import Dataset, DatasetDict
from transformers import CLIPModel, CLIPProcessor, TrainerCallback, TrainingArguments
from transformers.image_processing_backends import PilBackend

from hf_clcl import METHODS, ContinualTrainer, ContinualTrainingArguments, Task, UserError, create_method
from hf_clcl.models.loading import load_model, load_processor, with_pil_images

VALUES = {
    "max_steps": 12, "per_device_train_batch_size": 6, "learning_rate": 3e-3, "logging_steps": 4,
    "save_strategy": "no", "disable_tqdm": True,
}  # fmt: skip


class Steps(TrainerCallback):
    """Notes the number of each step."""

    def __init__(self, steps: list[int]):
        self.steps = steps

    def on_step_end(self, args, state, control, **kwargs) -> None:
        self.steps.append(state.global_step)


@pytest.fixture
def notebook(tiny_clip, colours, tmp_path):
    """Builds a trainer as a notebook does; keywords replace its arguments."""

    def build(**changed):
        arguments = {
            "model": CLIPModel.from_pretrained(tiny_clip),
            "args": ContinualTrainingArguments(str(tmp_path / "out"), **VALUES),
            "method": "zscl",
            "train_dataset": colours(24),
            "eval_dataset": {"warm": colours(15, seed=1), "cold": Task("any", test=colours(12, seed=5))},
            "processing_class": CLIPProcessor.from_pretrained(tiny_clip),
            "reference_images": colours(12, seed=9),
            "reference_texts": ["a red thing", "a blue thing", "grey"],
        }
        return ContinualTrainer(**{**arguments, **changed})

    return build


def test_the_lines_of_a_notebook(notebook, tmp_path):
    args = ContinualTrainingArguments(str(tmp_path / "out"), **{**VALUES, "max_steps": 40})
    trainer = notebook(args=args, method_options={"averaging_interval": 4, "image_weight": 0.1})
    assert trainer.method.averaging_interval == 4 and trainer.data.name == "dataset"
    assert trainer.train().global_step == 40
    metrics = trainer.evaluate()
    for name in ("warm_", "cold_", ""):
        before, after = metrics[f"eval_{name}zero_shot_accuracy"], metrics[f"eval_{name}accuracy"]
        assert metrics[f"eval_{name}zero_shot_change"] == pytest.approx(after - before)
    assert metrics["eval_accuracy"] == pytest.approx(
        (metrics["eval_warm_accuracy"] + metrics["eval_cold_accuracy"]) / 2
    )
    assert metrics["eval_accuracy"] > metrics["eval_zero_shot_accuracy"] + 5
    logged = [entry for entry in trainer.state.log_history if "eval_accuracy" in entry]
    assert [entry["step"] for entry in logged] == [40] and logged[0]["eval_cold_accuracy"] == metrics[
        "eval_cold_accuracy"
    ]


def test_accuracy_is_that_of_plain_transformers(notebook, colours, tiny_clip):
    trainer = notebook(method="finetune", eval_dataset=colours(15, seed=1))
    before = trainer.evaluate()
    assert before["eval_zero_shot_change"] == 0 and before["eval_zero_shot_accuracy"] == before["eval_accuracy"]
    trainer.train()
    metrics = trainer.evaluate()
    assert metrics["eval_zero_shot_accuracy"] == before["eval_accuracy"]
    processor, test = CLIPProcessor.from_pretrained(tiny_clip), colours(15, seed=1)
    inputs = processor(
        text=[f"a photo of a {name}." for name in ("red", "green", "blue")], images=list(test["image"]),
        return_tensors="pt", padding=True,
    )  # fmt: skip
    with torch.no_grad():
        predictions = trainer.model(**inputs).logits_per_image.argmax(-1)
    accuracy = 100 * (predictions == torch.tensor(test["label"])).float().mean().item()
    assert metrics["eval_accuracy"] == pytest.approx(accuracy, abs=1e-3)


def test_true_resumes_from_the_newest_checkpoint(notebook, tmp_path):
    values = {**VALUES, "max_steps": 6, "save_strategy": "steps", "save_steps": 2}

    def trained(folder: str, resume: bool) -> dict[str, torch.Tensor]:
        args = ContinualTrainingArguments(str(tmp_path / folder), **values)
        trainer = notebook(method="finetune", eval_dataset=None, args=args)
        started: list[int] = []
        trainer.add_callback(Steps(started))
        trainer.train(resume_from_checkpoint=resume)
        assert started[0] == (5 if resume else 1)
        return {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}

    with pytest.raises(UserError, match="resume_from_checkpoint: .* has no checkpoint"):
        trained("none", True)
    before = trained("some", False)
    assert [path.name for path in (tmp_path / "some").iterdir()] == ["checkpoint-4"]
    assert all(torch.equal(tensor, before[name]) for name, tensor in trained("some", True).items())


def test_other_datasets_and_captions_are_evaluated(notebook, colours, pairs):
    trainer = notebook(method="finetune", eval_dataset=None)
    with pytest.raises(UserError, match="pass eval_dataset to it or to ContinualTrainer"):
        trainer.evaluate()
    captions = Task("captions", test=pairs(12), caption_column="captions")
    metrics = trainer.evaluate({"pairs": captions, "new": colours(9)}, metric_key_prefix="test")
    recall = (metrics["test_pairs_image_to_text_r1"] + metrics["test_pairs_text_to_image_r1"]) / 2
    assert metrics["test_pairs_accuracy"] == pytest.approx(recall)
    assert "test_new_accuracy" in metrics and not any("zero_shot" in key for key in metrics)


def test_an_evaluation_every_few_steps_as_in_any_trainer(notebook, tmp_path):
    args = ContinualTrainingArguments(str(tmp_path / "out"), **VALUES, eval_strategy="steps", eval_steps=4)
    often, once = notebook(args=args), notebook()
    often.train()
    once.train()
    logged = [entry["step"] for entry in often.state.log_history if "eval_warm_accuracy" in entry]
    assert logged == [4, 8, 12]
    assert all(torch.equal(t, once.model.state_dict()[n]) for n, t in often.model.state_dict().items())


@pytest.mark.parametrize("form", ["name", "class", "instance"])
def test_a_method_in_each_form_trains_alike(notebook, form):
    method = {"name": "zscl", "class": METHODS["zscl"], "instance": create_method("zscl", {"l2_weight": 2.0})}[form]
    trainer = notebook(method=method, method_options=None if form == "instance" else {"l2_weight": 2.0})
    trainer.train()
    assert trainer.method.l2_weight == 2.0 and trainer.state.global_step == 12


def test_a_dataset_is_the_task_with_its_class_labels(notebook, colours):
    plain, task = notebook(), notebook(train_dataset=Task("other", train=colours(24)))
    plain.train()
    task.train()
    assert all(torch.equal(t, task.model.state_dict()[n]) for n, t in plain.model.state_dict().items())


def test_arguments_are_never_changed(notebook, colours, tmp_path):
    """Two trainers share their arguments: the second has other data, and takes as many steps as these need."""
    args = ContinualTrainingArguments(
        str(tmp_path), num_train_epochs=1, per_device_train_batch_size=8, warmup_steps=5, save_strategy="no",
        disable_tqdm=True, skip_nonfinite_steps=1,
    )  # fmt: skip
    before = copy.deepcopy(args.to_dict())
    shared = {"args": args, "method": "finetune", "eval_dataset": None}
    first, second = notebook(**shared, train_dataset=colours(16)), notebook(**shared, train_dataset=colours(64))
    assert (first.args.max_steps, second.args.max_steps) == (2, 8)
    assert first.train().global_step == 2 and second.train().global_step == 8
    assert args.to_dict() == before and first.args.warmup_steps == 0 and second.args.warmup_steps == 5


def test_a_processor_is_never_changed(notebook, tiny_clip):
    processor = CLIPProcessor.from_pretrained(tiny_clip)
    processor.tokenizer.model_max_length = 1000
    trainer = notebook(processing_class=processor)
    assert processor.tokenizer.model_max_length == 1000 and trainer.processing_class.tokenizer.model_max_length == 24


def test_another_variant_of_the_image_processor_is_replaced_by_that_of_pil(tiny_clip):
    processor = load_processor(tiny_clip)
    values = processor.image_processor.to_dict()

    class Other:
        """Stands for the variant of torchvision, which may not be installed."""

        def save_pretrained(self, folder):
            pil.save_pretrained(folder)

    pil = processor.image_processor
    processor.image_processor = Other()
    found = with_pil_images(processor).image_processor
    assert isinstance(found, PilBackend) and found.to_dict() == values


def test_a_trained_model_is_saved_as_any_trainer_saves(notebook, tmp_path):
    trainer = notebook(eval_dataset=None)
    trainer.train()
    trainer.save_model(str(tmp_path / "model"))
    again = CLIPModel.from_pretrained(tmp_path / "model")
    assert all(torch.equal(t, again.state_dict()[n]) for n, t in trainer.model.state_dict().items())
    assert load_processor(tmp_path / "model").tokenizer.eos_token_id is not None


NUMBERED = Dataset.from_dict({"label": [0, 1]})


@pytest.mark.parametrize(
    "change, message",
    [
        ({"method": "zero_shot"}, "zero_shot trains nothing"),
        ({"method": "joint"}, "joint trains on all tasks of a stream jointly: pass the tasks to hf_clcl.run_stream"),
        ({"method": "magic"}, "no method 'magic'"),
        ({"reference_images": None}, "zscl distils on reference images: give reference_images"),
        ({"reference_texts": None}, "zscl distils on reference texts: give reference_texts"),
        ({"reference_texts": "one text"}, "reference_texts needs a list of texts, found a str"),
        ({"processing_class": None}, "processing_class is missing: give the model's processor"),
        ({"processing_class": "openai"}, "must have a tokenizer and an image processor, got 'str'"),
        ({"args": TrainingArguments("out")}, "must be ContinualTrainingArguments, which take the same values"),
        ({"args": None}, "args must be ContinualTrainingArguments, got NoneType"),
        ({"model": "openai/clip-vit-base-patch16"}, r"must be a loaded model .*, got 'str'; load one with"),
        ({"train_dataset": DatasetDict(train=NUMBERED, test=NUMBERED)}, r"the splits train, test: give one .*'train'"),
        ({"eval_dataset": DatasetDict(test=NUMBERED)}, r"eval_dataset is a DatasetDict .*dataset\['test'\]"),
        ({"reference_images": DatasetDict(test=NUMBERED)}, "reference_images is a DatasetDict"),
        ({"train_dataset": NUMBERED.to_iterable_dataset()}, "train_dataset is streamed, .* without streaming=True"),
        ({"train_dataset": ["picture"]}, r"needs a `datasets.Dataset`, found a list: make one with"),
        ({"train_dataset": NUMBERED}, r"train_dataset: task dataset: no column of images.* give Task\('dataset'"),
        ({"eval_dataset": {}}, "eval_dataset is an empty dict"),
        ({"eval_dataset": {"a/b": NUMBERED}}, r"eval_dataset\['a/b'\]: a name has 1 to 64 letters"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_explained_in_a_sentence(notebook, change, message):
    with pytest.raises(UserError) as caught:
        notebook(**change)
    assert re.search(message, str(caught.value)), caught.value


def test_tasks_without_the_split_that_is_needed_are_explained(notebook, colours):
    with pytest.raises(UserError, match=r"the task a has no training data: give Task\(name, train=...\)"):
        notebook(train_dataset=Task("a", test=colours(6)))
    with pytest.raises(UserError, match=r"the task a has no test data: give Task\(name, test=...\)"):
        notebook(eval_dataset=Task("a", train=colours(6)))


def test_weights_in_half_precision_are_refused(notebook, tiny_clip):
    with pytest.raises(UserError, match="must be torch.float32, got torch.float16: .* bf16=True"):
        notebook(model=load_model(tiny_clip).half())
