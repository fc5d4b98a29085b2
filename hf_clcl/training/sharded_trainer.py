"""`ShardedTrainer`: a `Trainer` with sharded weights (FSDP2) or a sharded optimizer (DeepSpeed ZeRO 1 and 2)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, Trainer
from transformers.trainer import SCHEDULER_NAME
from transformers.trainer_utils import TrainOutput

from ..models.sharded import make_shardable
from ..utils.errors import UserError
from ..utils.required import required
from ..utils.unpickling import load_plain

# Gradients in one message of DeepSpeed. Its default of 500 million, 2 GB in fp32, is more than ZeRO saves for a ViT-B.
BUCKET = 50_000_000


class ShardedTrainer(Trainer):
    """Trains with FSDP2 or with DeepSpeed ZeRO 1 and 2; with neither it is a plain `Trainer`.

    With ZeRO, `accelerate` lets DeepSpeed wrap the model and shard the optimizer. The checkpoints of DeepSpeed are
    pickles, which can run code when they are loaded, so they are not used: weights and schedule are saved as with DDP,
    and each rank saves its shard of the optimizer state, which consists of tensors and numbers only.
    """

    model: PreTrainedModel

    def create_accelerator_and_postprocess(self) -> None:
        super().create_accelerator_and_postprocess()
        self.shards_optimizer, self.is_deepspeed_enabled = self.is_deepspeed_enabled, False
        if self.shards_optimizer:
            configuration = self.accelerator.state.deepspeed_plugin.deepspeed_config
            configuration["zero_optimization"]["reduce_bucket_size"] = BUCKET

    def train(self, *args: Any, **kwargs: Any) -> TrainOutput:
        output = super().train(*args, **kwargs)
        if self.shards_optimizer:
            self.accelerator.free_memory()  # otherwise the engine of DeepSpeed and its shards outlive the task
        return output

    def _prepare_for_training(self, *args: Any, **kwargs: Any) -> Any:
        if self.is_fsdp_enabled or self.shards_optimizer:
            make_shardable(self.model)
        return super()._prepare_for_training(*args, **kwargs)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if not self.shards_optimizer:
            return super()._save_optimizer_and_scheduler(output_dir)
        torch.save(self._local_optimizer.state_dict(), self._shard_file(output_dir))
        if self.args.should_save:
            torch.save(required(self.lr_scheduler, "lr_scheduler").state_dict(), Path(output_dir, SCHEDULER_NAME))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None and self._shard_file(checkpoint).exists() != self.shards_optimizer:
            before, now = ("without", "with") if self.shards_optimizer else ("with", "without")
            raise UserError(
                f"{checkpoint} was saved {before} DeepSpeed, and this run was started {now} it: the optimizer state "
                f"cannot be loaded. Start the run {before} DeepSpeed, or remove that folder to start the task again"
            )
        if not self.shards_optimizer or checkpoint is None:
            return super()._load_optimizer_and_scheduler(checkpoint)
        self._local_optimizer.load_state_dict(load_plain(self._shard_file(checkpoint)))
        required(self.lr_scheduler, "lr_scheduler").load_state_dict(load_plain(Path(checkpoint, SCHEDULER_NAME)))

    @property
    def _local_optimizer(self) -> torch.optim.Optimizer:
        """The optimizer of this rank, which the one of ZeRO wraps, which the one of `accelerate` wraps."""
        wrapper: Any = self.optimizer  # DeepSpeed's classes have no types
        return wrapper.optimizer.optimizer

    def _shard_file(self, folder: str) -> Path:
        return Path(folder, f"optimizer_{self.args.process_index}.pt")
