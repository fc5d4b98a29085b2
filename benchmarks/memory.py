"""Estimate the memory of a ZSCL step without a GPU: weights, optimizer states and saved activations.

    python benchmarks/memory.py [--shape vit-b-16|FOLDER] [--batch 64] [--classes 109] [--dtype bf16|fp32]
        [--gradient_checkpointing]

The tensors that autograd saves for the backward pass are counted for one image and one text on a model with random
weights, each storage once, and multiplied. Kernel workspaces and fragmentation are not included, some per cent.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from trained_step import CLASS_TEXT_LENGTH, shape
from transformers import CLIPModel

from hf_clcl.models.fast_layers import use_fast_layers

REFERENCE_IMAGES = 100_000


def saved_bytes(forward: Callable[[], Any], weights: set[int]) -> int:
    """Bytes that autograd saves in a forward pass, without the weights; casts of weights are counted separately."""
    storages: dict[int, int] = {}

    def save(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            storages[storage.data_ptr()] = storage.nbytes()
        alive.append(tensor)
        return tensor

    alive: list[Any] = []  # so that no address is reused
    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        alive.append(forward())
    return sum(storages.values())


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Memory of each part in GiB."""
    config = shape(options.shape)
    model = CLIPModel(config).train()
    use_fast_layers(model)
    model.set_attn_implementation("sdpa")
    if options.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    size, count = config.vision_config.image_size, sum(p.numel() for p in model.parameters())

    def forward(images: int, texts: int) -> Callable[[], Any]:
        def run() -> Any:
            pixels = torch.randn(images, 3, size, size)
            ids = torch.randint(3, config.text_config.vocab_size - 2, (texts, CLASS_TEXT_LENGTH))
            ids[:, -1] = config.text_config.eos_token_id
            with torch.autocast("cpu", torch.bfloat16, enabled=options.dtype == "bf16"):
                return model(input_ids=ids, pixel_values=pixels)

        return run

    both, more_images, more_texts = (saved_bytes(forward(*counts), weights) for counts in ((1, 1), (2, 1), (1, 2)))
    image, text = more_images - both, more_texts - both
    casts = count * 2 if options.dtype == "bf16" else 0
    parts = {
        "weights": 4 * count, "gradients": 4 * count, "Adam's two moments": 8 * count,
        "anchor of the L2 term": 4 * count, "averaged weights": 4 * count, "bf16 copies of the weights": casts,
        "kept of the images": 2 * options.batch * image, "kept of the texts": options.classes * text,
        "teacher's embeddings": 4 * REFERENCE_IMAGES * config.projection_dim,
    }  # fmt: skip
    gigabytes = {name: round(number / 2**30, 2) for name, number in parts.items()}
    return {
        **vars(options), "mb_an_image": round(image / 2**20, 3), "mb_a_text": round(text / 2**20, 3), "gb": gigabytes,
        "gb_together": round(sum(parts.values()) / 2**30, 2),
    }  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="vit-b-16", help="a model shape of trained_step.py, or a folder")
    parser.add_argument("--batch", type=int, default=64, help="batch size of task images, and of reference images")
    parser.add_argument("--classes", type=int, default=109, help="class prompts per step (109: the mean of MTIL)")
    parser.add_argument("--dtype", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument("--gradient_checkpointing", action="store_true")
    print(json.dumps(measure(parser.parse_args(argv)), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
