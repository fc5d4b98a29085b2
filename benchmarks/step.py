"""Compare a ZSCL training step of the trainer with a naive loop: same losses and weights, and the speed-up.

    python benchmarks/step.py [--shape clip-mini-64|vit-b-32|vit-b-16|FOLDER] [--batch 64] [--classes 43]
        [--texts 1000] [--text_length 77] [--dtype fp32|bf16] [--device cpu|cuda] [--steps 8] [--same_allocator]

Both loops start from the same weights and see the same batches; they take turns, a step each, in two processes.
With MALLOC_TRIM_THRESHOLD_=-1 MALLOC_MMAP_THRESHOLD_=33554432 before the command, the trainer's process keeps freed
memory (docs/devices.md); the naive loop does so only with --same_allocator. The naive loop follows the published code:
the teacher encodes all reference texts, padded to their full length, and the reference images at every step; task
images, class texts and reference images have separate forward passes; autograd differentiates the L2 term; models are
unmodified models of `transformers`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from contextlib import nullcontext
from multiprocessing.connection import Connection
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from trained_step import LEARNING_RATE, SMOOTHING, WARM_UP, Inputs, initial_model, parser, shape, trainer
from transformers import CLIPModel, TrainerCallback

from hf_clcl.cli.arguments import set_up_logging
from hf_clcl.utils.phases import peak_mb

TEMPERATURE, L2_WEIGHT = 2.0, 1.0
ALLOCATOR = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")


class NaiveLoop:
    """ZSCL as in its published code, on unmodified models of `transformers`."""

    def __init__(self, student: CLIPModel, teacher: CLIPModel, inputs: Inputs, options: argparse.Namespace):
        self.student, self.teacher, self.inputs, self.options = student, teacher, inputs, options
        self.device = torch.device(options.device)
        student.logit_scale.requires_grad_(False)
        self.parameters = [p for p in student.parameters() if p.requires_grad]
        self.start = [p.detach().clone() for p in self.parameters]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=LEARNING_RATE, weight_decay=0.0)

    def step(self, step: int) -> float:
        """One update; returns the loss."""
        rows = slice(step * self.options.batch, (step + 1) * self.options.batch)
        images, references, labels, class_ids, text_ids = (
            tensor.to(self.device)
            for tensor in (
                self.inputs.images[rows], self.inputs.references[rows], self.inputs.labels[rows],
                self.inputs.class_ids, self.inputs.text_ids,
            )
        )  # fmt: skip
        scale = self.student.logit_scale.exp()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.dtype == "bf16"):
            embedded = [
                self.student.get_image_features(pixel_values=images),
                self.student.get_text_features(input_ids=class_ids),
                self.student.get_image_features(pixel_values=references),
            ]
            with torch.no_grad():
                embedded += [
                    self.teacher.get_image_features(pixel_values=references),
                    self.teacher.get_text_features(input_ids=text_ids),
                ]
        f, c, r, t, e = (F.normalize(features.pooler_output.float(), dim=-1) for features in embedded)
        student, teacher = scale * r @ e.T, scale * t @ e.T
        loss = F.cross_entropy(scale * f @ c.T, labels, label_smoothing=SMOOTHING)
        loss = loss + distillation(teacher, student) + distillation(teacher.T, student.T)
        loss = loss + L2_WEIGHT * sum((p - s).square().sum() for p, s in zip(self.parameters, self.start, strict=True))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()


def distillation(teacher: Tensor, student: Tensor) -> Tensor:
    """Distillation loss of logits `[N, M]`."""
    soft = (teacher / TEMPERATURE).softmax(dim=-1)
    return -(soft * (student / TEMPERATURE).log_softmax(dim=-1)).sum(dim=-1).mean() * TEMPERATURE**2


class Turns(TrainerCallback):
    """Run a step of the naive loop after each step of the trainer, and record the seconds of both."""

    def __init__(self, naive: Connection, device: torch.device):
        self.naive, self.device = naive, device
        self.seconds: dict[str, list[float]] = {"ours": [], "naive": []}
        self.losses: list[float] = []
        self.teraflop: dict[str, float] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._counter = FlopCounterMode(display=False)  # the first step is not timed, so it can be counted
        self._counter.__enter__()
        self._began = now(self.device)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.seconds["ours"].append(now(self.device) - self._began)
        if state.global_step == 1:
            self._counter.__exit__(None, None, None)
            self.teraflop["ours"] = self._counter.get_total_flops() / 1e12
        self.naive.send(state.global_step - 1)
        loss, seconds, teraflop = self.naive.recv()
        self.losses.append(loss)
        self.seconds["naive"].append(seconds)
        self.teraflop.setdefault("naive", teraflop)
        self._began = now(self.device)


def now(device: torch.device) -> float:
    """Time in seconds after the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def take_turns(orders: Connection, options: argparse.Namespace, scratch: str) -> None:
    """Process of the naive loop: run a step for each received number until `None`, then save the weights."""
    config, device = shape(options.shape), torch.device(options.device)

    def model() -> CLIPModel:
        model = CLIPModel(config)  # attention is sdpa by default
        model.load_state_dict(load_file(f"{scratch}/initial.safetensors"))
        return model.to(device)

    loop = NaiveLoop(model().train(), model().eval().requires_grad_(False), Inputs.random(config, options), options)
    while (step := orders.recv()) is not None:
        began = now(device)
        with FlopCounterMode(display=False) if step == 0 else nullcontext() as counter:
            loss = loop.step(step)
        orders.send((loss, now(device) - began, counter and counter.get_total_flops() / 1e12))
    save_file({name: weight.detach().cpu() for name, weight in loop.student.named_parameters()}, f"{scratch}/naive")
    orders.send(peak_mb())


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run both loops in turns; returns seconds of each step, losses, largest differences and peak memory."""
    initial, device = initial_model(options), torch.device(options.device)
    initial_weights = {name: weight.detach().clone() for name, weight in initial.named_parameters()}
    with tempfile.TemporaryDirectory() as scratch:
        save_file(initial.state_dict(), f"{scratch}/initial.safetensors")
        processes = torch.multiprocessing.get_context("spawn")
        orders, theirs = processes.Pipe()
        naive = processes.Process(target=take_turns, args=(theirs, options, scratch), daemon=True)
        if not options.same_allocator:  # glibc has read them for this process when it started
            for name in ALLOCATOR:
                os.environ.pop(name, None)
        naive.start()
        theirs.close()  # so that the pipe closes if the naive loop fails
        turns = Turns(orders, device)
        ours = trainer(options, initial, scratch, [turns])
        ours.train()
        memory = {"ours": peak_mb()}
        orders.send(None)
        memory["naive"] = orders.recv()
        naive.join()
        naive_weights = load_file(f"{scratch}/naive")
    weights = {name: weight.detach().cpu() for name, weight in ours.model.named_parameters()}
    return {
        "seconds": {name: seconds[WARM_UP:] for name, seconds in turns.seconds.items()},
        "loss": ours.seen[0],
        "loss_difference": max(abs(a - b) for a, b in zip(ours.seen, turns.losses, strict=True)),
        "weight_difference": max(float((weights[n] - naive_weights[n]).abs().max()) for n in weights),
        "weights": {"initial": initial_weights, "ours": weights, "naive": naive_weights},
        "teraflop": turns.teraflop, "memory": memory,
    }  # fmt: skip


def ceiling(options: argparse.Namespace, size: int = 2048) -> float:
    """Throughput of large matrix products in 1e12 operations per second, as the limit of the hardware."""
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[options.dtype]
    left, right = (torch.randn(size, size, device=options.device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(6):
        began = time.perf_counter()
        left @ right
        if options.device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best / 1e12


def report(options: argparse.Namespace, facts: dict[str, Any]) -> dict[str, Any]:
    """Compute the printed figures from the measurements."""
    median = {name: statistics.median(seconds) for name, seconds in facts["seconds"].items()}
    rates = {name: facts["teraflop"][name] / seconds for name, seconds in median.items()}
    top = ceiling(options)
    return {
        "shape": options.shape, "batch": options.batch, "classes": options.classes, "texts": options.texts,
        "dtype": options.dtype, "same_allocator": options.same_allocator, "device": options.device,
        "threads": torch.get_num_threads(),
        "seconds_naive": round(median["naive"], 4), "seconds_ours": round(median["ours"], 4),
        "times_as_fast": round(median["naive"] / median["ours"], 2),
        "times_as_fast_of_pairs": [
            round(n / o, 2) for n, o in zip(facts["seconds"]["naive"], facts["seconds"]["ours"], strict=True)
        ],
        "images_per_second": round(2 * options.batch / median["ours"], 1),
        "teraflop_naive": round(facts["teraflop"]["naive"], 4), "teraflop_ours": round(facts["teraflop"]["ours"], 4),
        "teraflops_ours": round(rates["ours"], 3), "ceiling_teraflops": round(top, 3),
        "share_of_ceiling": round(rates["ours"] / top, 3),
        "first_loss": facts["loss"], "loss_difference": facts["loss_difference"],
        "weight_difference": facts["weight_difference"],
        "peak_memory_mb": {name: round(value) for name, value in facts["memory"].items()},
    }  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    options_of = parser(__doc__)
    options_of.add_argument(
        "--same_allocator",
        action="store_true",
        help="leave the allocator variables of the environment to the naive loop too",
    )
    options = options_of.parse_args(argv)
    set_up_logging()
    print(json.dumps(report(options, measure(options)), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
