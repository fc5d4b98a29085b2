"""A `Trainer` whose weights or optimiser may be divided among processes, and whose checkpoints are its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import Trainer
from transformers.trainer import SCHEDULER_NAME
from transformers.trainer_utils import TrainOutput

from ..models.sharded import make_shardable
from ..utils.errors import UserError
from ..utils.unpickling import load_plain

# Gradients that DeepSpeed sends at once. Its 500 million, 2 GB in fp32, are more than it saves of a ViT-B.
BUCKET = 50_000_000


class DividedTrainer(Trainer):
    """Trains under FSDP2 and under DeepSpeed's ZeRO, stages 1 and 2; with neither it is a plain `Trainer`.

    Under ZeRO, `accelerate` has DeepSpeed wrap the model and divide the optimiser. What the `Trainer` would add is
    DeepSpeed's checkpoints: pickles that run what they hold when they are read. Here weights and schedule are saved as
    under DDP, and each process writes its part of the optimiser's state: tensors and numbers alone.
    """

    def create_accelerator_and_postprocess(self) -> None:
        super().create_accelerator_and_postprocess()
        self.divides_optimizer, self.is_deepspeed_enabled = self.is_deepspeed_enabled, False
        if self.divides_optimizer:
            configuration = self.accelerator.state.deepspeed_plugin.deepspeed_config
            configuration["zero_optimization"]["reduce_bucket_size"] = BUCKET

    def train(self, *args: Any, **kwargs: Any) -> TrainOutput:
        output = super().train(*args, **kwargs)
        if self.divides_optimizer:
            self.accelerator.free_memory()  # DeepSpeed's engine would outlive the task, and its parts with it
        return output

    def _prepare_for_training(self, *args: Any, **kwargs: Any) -> Any:
        if self.is_fsdp_enabled or self.divides_optimizer:
            make_shardable(self.model)
        return super()._prepare_for_training(*args, **kwargs)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if not self.divides_optimizer:
            return super()._save_optimizer_and_scheduler(output_dir)
        torch.save(self._own_part.state_dict(), self._file_of_part(output_dir))
        if self.args.should_save:
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir, SCHEDULER_NAME))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None and self._file_of_part(checkpoint).exists() != self.divides_optimizer:
            before, now = ("without", "with") if self.divides_optimizer else ("with", "without")
            raise UserError(
                f"{checkpoint} was written {before} DeepSpeed, and this run is started {now} it: the state of the "
                f"optimiser cannot be read. Start it {before} DeepSpeed, or remove that folder to begin the task anew"
            )
        if not self.divides_optimizer or checkpoint is None:
            return super()._load_optimizer_and_scheduler(checkpoint)
        self._own_part.load_state_dict(load_plain(self._file_of_part(checkpoint)))
        self.lr_scheduler.load_state_dict(load_plain(Path(checkpoint, SCHEDULER_NAME)))

    @property
    def _own_part(self) -> torch.optim.Optimizer:
        """The optimiser of this process, within that of ZeRO, within that of `accelerate`."""
        return self.optimizer.optimizer.optimizer

    def _file_of_part(self, folder: str) -> Path:
        return Path(folder, f"optimizer_{self.args.process_index}.pt")
