"""Set-up of one ZSCL training step for `step.py` and `parts.py`: options, model shapes, inputs and trainer."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from parity import InOrder, TensorImages
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, TrainerCallback

from hf_clcl.config.arguments import ContinualTrainingArguments
from hf_clcl.data.batches import Draws
from hf_clcl.data.task_data import TaskData
from hf_clcl.methods import create_method
from hf_clcl.models.families import family_of
from hf_clcl.models.loading import attention, load_model
from hf_clcl.training.trainer import ContinualTrainer, StreamPlace

LEARNING_RATE, SMOOTHING = 1e-5, 0.2
CLASS_TEXT_LENGTH = 12  # "a photo of a ..." in tokens; class prompts use 8 to 20
WARM_UP = 2


def parser(description: str | None) -> argparse.ArgumentParser:
    """Parser of the options of a step."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--shape", default="clip-mini-64", help="a model shape with random weights, or a folder")
    made.add_argument("--batch", type=int, default=64, help="batch size of task images, and of reference images")
    made.add_argument("--classes", type=int, default=43)
    made.add_argument("--texts", type=int, default=1000, help="reference texts")
    made.add_argument("--text_length", type=int, default=20, help="tokens of the longest reference text")
    made.add_argument("--dtype", choices=["fp32", "bf16"], default="fp32")
    made.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    made.add_argument("--steps", type=int, default=8, help="measured steps, after two of warm-up")
    return made


def shape(name: str) -> CLIPConfig:
    """The configuration of a published shape, or of a model in a folder."""
    if name == "clip-mini-64":
        vision = {"hidden_size": 192, "num_hidden_layers": 6, "num_attention_heads": 3, "intermediate_size": 768,
                  "image_size": 64, "patch_size": 8}  # fmt: skip
        text = {"hidden_size": 192, "num_hidden_layers": 4, "num_attention_heads": 3, "intermediate_size": 768,
                "vocab_size": 4096, "max_position_embeddings": 32}  # fmt: skip
        return _config(vision, text, 128)
    if name in ("vit-b-32", "vit-b-16"):
        vision = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
                  "image_size": 224, "patch_size": int(name[-2:])}  # fmt: skip
        text = {"hidden_size": 512, "num_hidden_layers": 12, "num_attention_heads": 8, "intermediate_size": 2048,
                "vocab_size": 49408, "max_position_embeddings": 77}  # fmt: skip
        return _config(vision, text, 512)
    return CLIPConfig.from_pretrained(name)


def _config(vision: dict[str, int], text: dict[str, int], width: int) -> CLIPConfig:
    tokens = {"bos_token_id": text["vocab_size"] - 2, "eos_token_id": text["vocab_size"] - 1, "pad_token_id": 0}
    return CLIPConfig(vision_config=vision, text_config={**text, **tokens}, projection_dim=width)


@dataclass
class Inputs:
    """Inputs of both loops: pixel values of all steps, labels, and token ids padded to the model's full length."""

    images: Tensor
    references: Tensor
    labels: Tensor
    class_ids: Tensor
    text_ids: Tensor

    @classmethod
    def random(cls, config: CLIPConfig, options: argparse.Namespace) -> Inputs:
        generator = torch.Generator().manual_seed(0)
        size, steps = config.vision_config.image_size, options.steps + WARM_UP
        images, references = (torch.randn(steps * options.batch, 3, size, size, generator=generator) for _ in range(2))
        labels = torch.randint(options.classes, (steps * options.batch,), generator=generator)
        return cls(
            images, references, labels,
            texts(config, options.classes, CLASS_TEXT_LENGTH, generator),
            texts(config, options.texts, options.text_length, generator),
        )  # fmt: skip


def texts(config: CLIPConfig, count: int, longest: int, generator: torch.Generator) -> Tensor:
    """Random texts `[count, model's length]` of up to `longest` tokens, padded with the end token."""
    text, length = config.text_config, config.text_config.max_position_embeddings
    longest = min(longest, length)
    ids = torch.randint(3, text.bos_token_id, (count, length), generator=generator)
    lengths = torch.randint(max(3, longest // 2), longest + 1, (count, 1), generator=generator)
    lengths[0] = longest
    ids[:, 0] = text.bos_token_id
    return torch.where(torch.arange(length) >= lengths - 1, text.eos_token_id, ids)


class InOrderTrainer(ContinualTrainer):
    """The trainer with batches in row order, as in a naive loop; records the losses."""

    def draws(self, rows: int, batch_size: int, stream: int) -> Draws:
        return InOrder(rows, batch_size, (0,))

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        loss = super().compute_loss(*args, **kwargs)
        self.seen = [*getattr(self, "seen", []), loss.item()]
        return loss


def initial_model(options: argparse.Namespace) -> CLIPModel:
    """The model with the initial weights of a measurement."""
    torch.manual_seed(0)
    return load_model(options.shape) if Path(options.shape).is_dir() else CLIPModel(shape(options.shape))


def trainer(
    options: argparse.Namespace, initial: CLIPModel, output_dir: str, callbacks: list[TrainerCallback]
) -> InOrderTrainer:
    """A ZSCL trainer with these initial weights, on the inputs of these options."""
    config = shape(options.shape)
    inputs = Inputs.random(config, options)

    def ours() -> CLIPModel:
        model = CLIPModel(config)
        model.load_state_dict(initial.state_dict())
        model.set_attn_implementation(attention())
        return model

    args = ContinualTrainingArguments(
        output_dir=output_dir, max_steps=options.steps + WARM_UP, per_device_train_batch_size=options.batch,
        learning_rate=LEARNING_RATE, lr_scheduler_type="constant", label_smoothing_factor=SMOOTHING,
        save_strategy="no", disable_tqdm=True, bf16=options.dtype == "bf16", use_cpu=options.device == "cpu",
    )  # fmt: skip
    model, images = ours(), TensorImages(inputs.images, inputs.references)
    class_ids = family_of(config).trim(config, inputs.class_ids)
    return InOrderTrainer(
        model, args, method=create_method("zscl", {"averaging_interval": 0}),
        train_dataset=TaskData("step", images, class_ids, inputs.labels.numpy()),
        reference_images=images, reference_texts=inputs.text_ids,
        stream=StreamPlace(initial_model=lambda: ours().requires_grad_(False)), callbacks=callbacks,
    )  # fmt: skip
