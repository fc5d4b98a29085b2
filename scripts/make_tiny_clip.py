"""Train the tiny CLIP that comes with the package, from the data of this repository only.

    python scripts/make_tiny_clip.py [--output_dir DIR] [--key value ...]

Writes the architecture and the tokenizer to hf_clcl/assets/tiny-clip, trains recipes/tiny_clip.yaml, and writes
the weights to the same folder in half precision. Further options are passed to the training command.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from transformers import CLIPConfig, CLIPModel, CLIPProcessor
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from hf_clcl.cli import train
from hf_clcl.data.texts.vocabulary import build_tokenizer
from hf_clcl.data.world import DOMAINS, render_captioned
from hf_clcl.models.loading import BUILT_IN

ROOT = Path(__file__).resolve().parent.parent
SIZE, LENGTH, VOCABULARY = 32, 24, 1200


def write_architecture(folder: Path) -> None:
    """Configuration, tokenizer and image processor, without weights."""
    prompts = [t.replace("{}", name) for d in DOMAINS.values() for t in d.templates for name in d.class_names]
    captions = [text for row in render_captioned(4000)["captions"] for text in row]
    tokenizer = build_tokenizer([*captions, *prompts], vocab_size=VOCABULARY, max_length=LENGTH)
    config = CLIPConfig(
        projection_dim=64,
        text_config={
            "hidden_size": 96, "intermediate_size": 384, "num_hidden_layers": 3, "num_attention_heads": 3,
            "max_position_embeddings": LENGTH, "vocab_size": len(tokenizer), "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            "hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 4, "num_attention_heads": 4,
            "image_size": SIZE, "patch_size": 8,
        },
    )  # fmt: skip
    images = CLIPImageProcessorPil(size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE})
    config.save_pretrained(folder)
    CLIPProcessor(image_processor=images, tokenizer=tokenizer).save_pretrained(folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", default="outputs/tiny_clip")
    options, rest = parser.parse_known_args()
    assets = Path(BUILT_IN["builtin:tiny-clip"])
    write_architecture(assets)
    code = train.main([str(ROOT / "recipes/tiny_clip.yaml"), "--output_dir", options.output_dir, *rest])
    if code == 0:
        model = CLIPModel.from_pretrained(Path(options.output_dir) / "task-01-pairs", dtype=torch.float16)
        model.save_pretrained(assets)
    return code


if __name__ == "__main__":
    sys.exit(main())
