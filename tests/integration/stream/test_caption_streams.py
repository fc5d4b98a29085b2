"""Tasks of captions: the loss over the batch of all processes, under every method; parts of datasets; updates."""

from __future__ import annotations

import json
import math

import pytest
import torch
import torch.multiprocessing
import torch.nn.functional as F
import yaml
from PIL import Image

from hf_clcl import METHODS, ContinualTrainer, ContinualTrainingArguments, LoRA, RunRecord, Task, create_method
from hf_clcl.cli.train import main
from hf_clcl.config.entries import TaskEntry
from hf_clcl.data.images.frames import Frames
from hf_clcl.data.resolve import resolve_task
from hf_clcl.data.task_data import TaskData
from hf_clcl.data.texts.tokens import tokenize
from hf_clcl.methods import losses
from hf_clcl.models.loading import load_model, load_processor
from hf_clcl.models.tuning import Adapter
from hf_clcl.training.trainer import StreamPlace
from hf_clcl.utils.errors import DataError

SMALL = {"ewc": {"fisher_samples": 7}, "imm": {"merge": "mode", "fisher_samples": 7}, "vr_lwf": {"number": 6}}
LEARNING = sorted(METHODS.keys() - {"zero_shot", "icarl", "joint", "lwf_vr"})


def test_the_loss_by_hand():
    """Similarities [[2, 0], [1, 1]] at scale 1: rows and columns each have their own softmax."""
    images, texts = torch.tensor([[2.0, 0.0], [1.0, 1.0]]), torch.eye(2)
    rows = (math.log(1 + math.exp(-2)) + math.log(2)) / 2
    columns = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(-1))) / 2
    assert losses.contrastive(images, texts, torch.tensor(1.0)).item() == pytest.approx((rows + columns) / 2, rel=1e-6)


def towers(seed: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(shape, generator=generator) for shape in ((8, 5), (8, 5), (5, 3), (5, 3)))


def gradients(pixels, words, vision, text) -> tuple[torch.Tensor, ...]:
    vision, text, scale = (p.clone().requires_grad_() for p in (vision, text, torch.tensor(3.0)))
    loss = losses.contrastive(F.normalize(pixels @ vision, dim=-1), F.normalize(words @ text, dim=-1), scale)
    return (loss.detach(), *torch.autograd.grad(loss, (vision, text, scale)))


def one_of_two(rank: int, rendezvous: str, found) -> None:
    torch.distributed.init_process_group("gloo", f"file://{rendezvous}", rank=rank, world_size=2)
    pixels, words, vision, text = towers(0)
    mine = slice(4 * rank, 4 * rank + 4)
    for tensor in (values := gradients(pixels[mine], words[mine], vision, text)):
        torch.distributed.all_reduce(tensor)
    if rank == 0:
        found.put([(tensor / 2).tolist() for tensor in values])  # the mean, as `DistributedDataParallel` takes it
    torch.distributed.destroy_process_group()


def test_two_processes_have_the_loss_and_gradients_of_a_naive_reference(tmp_path):
    pixels, words, vision, text = towers(0)
    vision, text, scale = (p.clone().requires_grad_() for p in (vision, text, torch.tensor(3.0)))
    logits = scale * F.normalize(pixels @ vision, dim=-1) @ F.normalize(words @ text, dim=-1).T
    loss = sum(-m[i].log_softmax(0)[i] for m in (logits, logits.T) for i in range(8)) / 16
    expected = (loss, *torch.autograd.grad(loss, (vision, text, scale)))
    found = torch.multiprocessing.get_context("fork").SimpleQueue()  # a fresh process would import everything anew
    arguments = (str(tmp_path / "rendezvous"), found)
    torch.multiprocessing.start_processes(one_of_two, arguments, nprocs=2, start_method="fork")
    for ours, reference in zip(found.get(), expected, strict=True):
        torch.testing.assert_close(torch.tensor(ours), reference.detach(), atol=1e-6, rtol=1e-5)


@pytest.fixture
def learn(tiny_clip, pairs, colours, tmp_path):
    """Teaches two tasks of captions; returns the trainers."""

    def run(method, lora=None, **values):
        method, model = create_method(method, SMALL.get(method, {})), load_model(tiny_clip)
        processor = load_processor(tiny_clip)
        defaults = {
            "output_dir": str(tmp_path / "out"), "max_steps": 2, "learning_rate": 1e-3, "logging_steps": 1,
            "per_device_train_batch_size": 6, "save_strategy": "no", "disable_tqdm": True,
        }  # fmt: skip
        trainers = []
        for index in range(2):
            adapter = Adapter(model, lora, 0) if lora else None
            trainer = ContinualTrainer(
                model,
                ContinualTrainingArguments(**{**defaults, **values}),
                method=method,
                train_dataset=Task(f"task{index}", train=pairs(12, index), caption_column="captions"),
                processing_class=processor,
                reference_images=Frames(colours(10, seed=9), "image", processor.image_processor),
                reference_texts=tokenize(processor.tokenizer, ["a red thing", "a blue thing", "grey"]),
                stream=StreamPlace(index, initial_model=lambda: load_model(tiny_clip).requires_grad_(False)),
            )
            trainer.train()
            model = adapter.merge() if adapter else trainer.model
            trainers.append(trainer)
        return trainers

    return run


def first_loss(trainer, model) -> float:
    """The contrastive loss of the first batch, by the model's own forward."""
    batch = trainer.get_train_dataloader().dataset[0]
    with torch.no_grad():
        outputs = model(pixel_values=trainer.normalize(batch["pixel_values"]), input_ids=batch["input_ids"])
    logits, own = outputs.logits_per_image, torch.arange(len(batch["input_ids"]))
    return float(F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


@pytest.mark.parametrize("method", LEARNING)
def test_every_method_learns_captions(learn, tiny_clip, method):
    trainers = learn(method, lora=LoRA(r=2) if method == "zscl" else None)
    steps = [[entry for entry in trainer.state.log_history if "loss" in entry] for trainer in trainers]
    assert steps[0][0]["task_loss"] == pytest.approx(first_loss(trainers[0], load_model(tiny_clip)), abs=1e-4)
    assert all(math.isfinite(entry["loss"]) for entries in steps for entry in entries)
    if method == "ewc":
        assert steps[1][1]["ewc_loss"] > 0  # what the captions of the first task depend on is held
    before, after = load_model(tiny_clip).state_dict(), trainers[1].model.state_dict()
    assert any(not torch.equal(before[name], tensor) for name, tensor in after.items() if name in before)


def test_an_image_stands_in_a_batch_once_with_one_of_its_captions(learn, pairs):
    trainer = learn("finetune", max_steps=4)[0]
    texts, captions_of = Task("a", train=pairs(12), caption_column="captions").captions()
    batches = [trainer.get_train_dataloader().dataset[step] for step in range(4)]
    rows = [trainer.draws(12, 6, 0)(step) for step in range(4)]
    assert all(len(set(own)) == 6 for own in rows)
    for batch, own in zip(batches, rows, strict=True):
        for ids, row in zip(batch["input_ids"], own, strict=True):
            assert any(torch.equal(ids, trainer.data.input_ids[caption]) for caption in captions_of[row])


def test_tasks_of_captions_learned_together(tiny_clip, pairs):
    processor = load_processor(tiny_clip)
    tasks = [Task(f"t{i}", train=pairs(5, i), caption_column="captions") for i in range(2)]
    data = [TaskData.of(task, processor, None, 0.9) for task in tasks]
    joined = TaskData.joined("all", data)
    texts = [text for task in tasks for text in task.captions()[0]]
    assert joined.labels is None and len(joined.captions_of) == len(joined.frames) == 10
    expected = tokenize(processor.tokenizer, [texts[row] for row in joined.captions_of[7]])
    own = tokenize(processor.tokenizer, tasks[1].train["captions"][2])
    assert torch.equal(expected, own)


def test_parts_of_a_dataset_by_the_words_of_its_captions(tmp_path, pairs):
    texts = [["A dog runs."], ["two DOGS", "a dog and a boy"], ["a boy"], ["a hotdog"], ["a red thing"]] * 2
    rows = pairs(10).remove_columns("captions").add_column("captions", texts)
    for split in ("train", "test"):
        rows.to_parquet(str(tmp_path / f"{split}.parquet"))

    def chosen(**values) -> list[list[str]]:
        entry = TaskEntry(dataset=str(tmp_path), name="x", caption_column="captions", **values)
        return resolve_task(entry).train["captions"][:5]

    dogs, boys = ["dog", "dogs"], ["boy"]
    assert chosen(caption_words=dogs) == [texts[0], texts[1], texts[0], texts[1]]
    assert chosen(caption_words=boys, drop_caption_words=dogs) == [texts[2]] * 2
    assert chosen(drop_caption_words=[*dogs, *boys]) == [texts[3], texts[4]] * 2
    with pytest.raises(DataError, match="task x: train has no image with such captions"):
        chosen(caption_words=["cat"])
    assert TaskEntry("d", name="x", caption_words=[" "]).problems() == [
        "caption_words: is only for tasks of captions; give caption_column too",
        "caption_words: must have at least one word, and none that is blank",
    ]


def test_the_protocol_of_an_update_from_recipe_to_card(recipe):
    """Two of three classes are learned, the third is held out: UT-Acc, ZS-Acc and retrieval follow from the record."""
    values = yaml.safe_load(recipe.read_text())
    captions = [{"image": f"{i}.png", "text": f"a {c} thing"} for i, c in enumerate(("red", "blue", "grey"))]
    folder = recipe.parent / "pairs"
    folder.mkdir()
    for row in captions:
        Image.new("RGB", (9, 9), row["text"].split()[1]).save(folder / row["image"])
    lines = [json.dumps({"file_name": row["image"], "text": row["text"]}) for row in captions]
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    values |= {
        "method": "lwf",
        "tasks": [{"name": "update", "dataset": "warm", "classes": ["red", "green"]}],
        "evaluation_only": [
            {"name": "held_out", "dataset": "warm", "drop_classes": ["red", "green"]},
            {"name": "pairs", "dataset": "pairs", "caption_column": "text", "test_split": "train"},
        ],
    }
    recipe.write_text(yaml.safe_dump(values))
    assert main([str(recipe)]) == 0
    record = RunRecord.load(recipe.parent / "out")
    assert record.metrics["updated_accuracy"] == record.accuracy[0][0]
    assert record.metrics["unseen_accuracy"] == record.evaluation_only["held_out"]["accuracy"][0]
    card = (recipe.parent / "out" / "README.md").read_text()
    assert "| UT-Acc |" in card and "| ZS-Acc |" in card and "| pairs | after 1 update |" in card
