"""Profile a training step with the PyTorch profiler. For the time of a whole step, see `benchmarks/step.py`.

    python benchmarks/parts.py [--shape clip-mini-64|vit-b-32|vit-b-16|FOLDER] [--batch 64] [--texts 1000]
        [--dtype fp32|bf16] [--device cpu|cuda] [--steps 8]

Prints the share of each kind of operation in the self time of all operations.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from typing import Any

from torch.profiler import ProfilerActivity, profile
from trained_step import WARM_UP, initial_model, parser, trainer
from transformers import TrainerCallback

from hf_clcl.cli.arguments import set_up_logging

PARTS = {
    "matrix products": ("mm", "addmm", "bmm", "baddbmm", "matmul", "linear"),
    "activation": ("silu", "silu_", "silu_backward", "sigmoid", "_MLP", "_MLPBackward", "_QuickGELU"),
    "attention": (
        "_softmax", "_softmax_backward_data", "_scaled_dot_product_flash_attention",
        "_scaled_dot_product_flash_attention_backward", "_flash_attention_forward", "_flash_attention_backward",
    ),
    "layer norm": ("native_layer_norm", "native_layer_norm_backward"),
    "casts and copies": ("copy_", "clone", "_to_copy", "contiguous", "cat"),
    "L2 term": ("mse_loss_backward", "_SquaredDistance", "_SquaredDistanceBackward", "sub", "square_", "pow_"),
    "optimiser": ("_fused_adamw_", "_foreach_add_", "_foreach_mul_"),
    "sums and products of elements": ("add", "add_", "mul", "mul_", "sum", "div", "div_", "mean"),
    "new and cleared memory": ("empty", "empty_strided", "empty_like", "new_empty", "fill_", "zero_", "zeros"),
}  # fmt: skip


class Profiled(TrainerCallback):
    """Profile the steps after warm-up."""

    def __init__(self, options: argparse.Namespace):
        self.on_gpu = options.device == "cuda"
        self.profile = profile(activities=[ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * self.on_gpu])

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == WARM_UP:
            self.profile.start()
        elif state.global_step == state.max_steps:
            self.profile.stop()

    def shares(self) -> dict[str, float]:
        """Share of each part, the largest first."""
        part_of = {operation: part for part, operations in PARTS.items() for operation in operations}
        times: Counter[str] = Counter()
        for event in self.profile.key_averages():
            taken = event.self_device_time_total if self.on_gpu else event.self_cpu_time_total
            times[part_of.get(event.key.removeprefix("aten::"), "the rest")] += taken
        return {part: round(taken / times.total(), 3) for part, taken in times.most_common()}


def main(argv: list[str] | None = None) -> int:
    options = parser(__doc__).parse_args(argv)
    set_up_logging()
    profiled = Profiled(options)
    with tempfile.TemporaryDirectory() as scratch:
        trainer(options, initial_model(options), scratch, [profiled]).train()
    print(json.dumps({"shape": options.shape, "dtype": options.dtype, "shares": profiled.shares()}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
