"""Parity test of the trainer against losses and weights of a published reference implementation.

    python benchmarks/parity.py DIR [--case NAME ...]

DIR contains `expected.json`, `batches.safetensors`, `initial_model.safetensors`, `previous_model.safetensors` and
`saved_<case>.safetensors`. The cases run in `ContinualTrainer` with the methods that recipes use. Prints one JSON line
for each case. The exit code is 0 only if every case is within 1e-4 and no requested case is unsupported.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, TrainerCallback

from hf_clcl.config.arguments import ContinualTrainingArguments
from hf_clcl.data.batches import Draws
from hf_clcl.data.task_data import TaskData
from hf_clcl.methods import METHODS, Method
from hf_clcl.training.trainer import ContinualTrainer, StreamPlace

TOLERANCE = 1e-4


def method_for(case: str, flags: dict[str, Any], expected: dict[str, Any]) -> Method | None:
    """The method and options for the flags of a reference case; `None` if a flag is not supported."""
    flags = dict(flags)
    options: dict[str, Any] = {"l2_weight": flags.pop("l2", 0.0), "averaging_interval": 0}
    if flags.pop("we", False):
        options["averaging_interval"] = expected["averaging_every"]
    elif flags.pop("we_wise", False):
        options |= {"averaging_interval": expected["averaging_every"], "averaging": "mixed"}
    if flags.pop("wise_merge", False):
        options["wise_alpha"] = 0.8
    distils = [flags.pop("image_loss", False), flags.pop("text_loss", False)]
    name = "weight_ensemble"  # with an interval of 0, plain fine-tuning
    if any(distils):
        name = {"lwf": "lwf", "lwf_vr": "vr_lwf"}.get(case, "zscl")
        weight = 0.5 if flags.pop("weight_adjust", False) else 1.0
        options |= {"image_weight": weight * distils[0], "text_weight": weight * distils[1]}
        options["temperature"] = flags.pop("T", expected["temperature"])
        options["teacher"] = "previous" if flags.pop("ref_model", None) else "initial"
        if flags.pop("ref_wise", False):
            options["teacher"] = "wise"
        options["feature_mse_weight"] = float(flags.pop("feature_mse", False))
        options["relational_weight"] = float(flags.pop("ablation_loss_2", False))
        if name == "vr_lwf":
            options |= {"vocabulary": "captions", "number": 10**6}  # use all texts that the reference drew
    return None if flags else METHODS[name](**options)


class TensorImages:
    """Images as pixel values `[N, 3, H, W]`, without crops.

    Args:
        training (`Tensor`): The images for training.
        evaluation (`Tensor`): The images of the same rows for the teacher and the reference batches.
    """

    def __init__(self, training: Tensor, evaluation: Tensor):
        self.training, self.evaluation = training, evaluation

    def __len__(self) -> int:
        return len(self.evaluation)

    def evaluation_batch(self, indices: Any) -> Tensor:
        return self.evaluation[torch.as_tensor(np.asarray(indices))]

    def training_batch(self, indices: Any, seeds: Any) -> Tensor:
        return self.training[torch.as_tensor(np.asarray(indices))]


class InOrder(Draws):
    """Rows in their order: step 0 takes the first batch."""

    def __call__(self, step: int) -> np.ndarray:
        return np.arange(step * self.batch_size, (step + 1) * self.batch_size)


class ParityTrainer(ContinualTrainer):
    """The trainer with batches in the order of the reference."""

    def draws(self, rows: int, batch_size: int, stream: int) -> Draws:
        return InOrder(rows, batch_size, (0,))


class LossesOfEachStep(TrainerCallback):
    """Record the losses of each step."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        if logs and "task_loss" in logs:
            self.steps.append({name: value for name, value in logs.items() if name.endswith("_loss")})


def build_model(folder: Path, expected: dict[str, Any], name: str) -> CLIPModel:
    """The tiny CLIP of `expected.json` with the weights of `<name>.safetensors`."""
    m = expected["model"]
    config = CLIPConfig(
        projection_dim=m["projection_dim"],
        text_config={
            "hidden_size": m["text_width"], "intermediate_size": 4 * m["text_width"],
            "num_hidden_layers": m["text_layers"],
            "num_attention_heads": m["text_heads"], "max_position_embeddings": m["context_length"],
            "vocab_size": m["vocab_size"], "bos_token_id": m["bos"], "eos_token_id": m["eos"], "pad_token_id": 0,
            "hidden_act": m["activation"],
        },
        vision_config={
            "hidden_size": m["vision_width"], "intermediate_size": 4 * m["vision_width"],
            "num_hidden_layers": m["vision_layers"], "num_attention_heads": m["vision_heads"],
            "image_size": m["image_size"], "patch_size": m["patch_size"], "hidden_act": m["activation"],
        },
    )  # fmt: skip
    model = CLIPModel(config)
    model.load_state_dict(load_file(folder / f"{name}.safetensors"))
    return model


def run_case(folder: Path, expected: dict[str, Any], case: str) -> dict[str, Any]:
    """Train one case; returns the largest differences to the reference."""
    facts = expected["cases"][case]
    method = method_for(case, facts["flags"], expected)
    if method is None:
        return {"case": case, "unsupported": facts["flags"]}
    batches = load_file(folder / "batches.safetensors")
    steps, batch_size = batches["labels"].shape
    images = TensorImages(batches["images"].flatten(0, 1), batches["reference_images"].flatten(0, 1))
    texts = batches["random_vocabulary_input_ids" if case == "lwf_vr" else "reference_input_ids"].long()
    optimizer = expected["optimizer"]
    recorded = LossesOfEachStep()
    with tempfile.TemporaryDirectory() as scratch:
        args = ContinualTrainingArguments(
            output_dir=scratch, max_steps=facts["steps"], per_device_train_batch_size=batch_size,
            per_device_reference_batch_size=batches["reference_images"].shape[1], learning_rate=optimizer["lr"],
            lr_scheduler_type=optimizer["schedule"],
            adam_beta1=optimizer["betas"][0], adam_beta2=optimizer["betas"][1],
            adam_epsilon=optimizer["eps"], weight_decay=optimizer["weight_decay"],
            label_smoothing_factor=expected["label_smoothing"], logging_steps=1, save_strategy="no", use_cpu=True,
            disable_tqdm=True,
        )  # fmt: skip
        if steps < facts["steps"]:
            raise ValueError(f"{case}: needs {facts['steps']} batches, got {steps}")
        trainer = ParityTrainer(
            build_model(folder, expected, "previous_model"),
            args,
            method=method,
            train_dataset=TaskData(
                case,
                images,
                batches["class_input_ids"].long(),
                batches["labels"].flatten().long().numpy(),
            ),
            reference_images=images,
            reference_texts=texts,
            stream=StreamPlace(
                initial_model=lambda: build_model(folder, expected, "initial_model").requires_grad_(False)
            ),
            callbacks=[recorded],
        )
        trainer.train()
    return {"case": case, **differences(folder, facts, case, recorded.steps, trainer.model, method)}


def differences(
    folder: Path, facts: dict[str, Any], case: str, steps: list[dict[str, float]], model: CLIPModel, method: Method
) -> dict[str, float]:
    """Largest difference of any loss, and of any weight or weight norm."""
    of_losses = [abs(sum(s.values()) - e) for s, e in zip(steps, facts["total_loss"], strict=True)]
    for name, weight in (("image_distillation_loss", "image_weight"), ("l2_loss", "l2_weight")):
        if facts.get(name) and name in steps[0]:  # the reference records single terms without their weights
            scale = getattr(method, weight)
            of_losses += [abs(s[name] / scale - e) for s, e in zip(steps, facts[name], strict=True)]
    weights = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    start = load_file(folder / "previous_model.safetensors")
    norm = math.sqrt(sum(float(t.double().square().sum()) for n, t in weights.items() if n in start))
    moved = math.sqrt(
        sum(float((t.double() - start[n].double()).square().sum()) for n, t in weights.items() if n in start)
    )
    of_weights = [abs(norm - facts["saved_parameter_norm"]), abs(moved - facts["saved_distance_from_start"])]
    saved = folder / f"saved_{case}.safetensors"
    if saved.exists():
        of_weights += [float((weights[name] - tensor).abs().max()) for name, tensor in load_file(saved).items()]
    return {"max_loss_difference": max(of_losses), "max_weight_difference": max(of_weights)}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="DIR", type=Path)
    parser.add_argument("--case", action="append", metavar="NAME", help="only this case; may be repeated")
    options = parser.parse_args(argv)
    try:
        expected = json.loads((options.folder / "expected.json").read_text())
    except (OSError, ValueError) as error:
        print(f"error: {options.folder} contains no parity data: {error}", file=sys.stderr)
        return 2
    unknown = [case for case in options.case or () if case not in expected["cases"]]
    if unknown:
        print(
            f"error: --case: must be one of {', '.join(expected['cases'])}, got {', '.join(unknown)}", file=sys.stderr
        )
        return 2
    passed = True
    for case in options.case or expected["cases"]:
        result = run_case(options.folder, expected, case)
        print(json.dumps(result), flush=True)
        if "unsupported" in result:
            passed &= not options.case
        else:
            passed &= result["max_loss_difference"] <= TOLERANCE and result["max_weight_difference"] <= TOLERANCE
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
