"""Several processes for tests: one start of `torchrun` runs several commands one after another.

As a script, under `torchrun`: the arguments of each run, as JSON. What each process ends with is printed.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from weakref import WeakSet

ROOT = Path(__file__).resolve().parents[2]  # run as a script too, so that nothing is imported from its package

TIME_LIMIT = 900  # on a busy machine; processes that wait for one another would wait twice as long


def torchrun(*command: str, processes: int = 2, **environment: str) -> subprocess.CompletedProcess:
    """Start processes that find each other by a free port, and wait for their end."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    return subprocess.run(
        [*launch, *command], cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True, text=True, timeout=TIME_LIMIT,
    )  # fmt: skip


def run_each(runs: list[list[str]], **environment: str) -> subprocess.CompletedProcess:
    """Run commands of `hf_clcl.train` one after another in the same two processes, so that these start once."""
    return torchrun(__file__, json.dumps(runs), **environment)


def launch_environment(configuration: Path) -> dict[str, str]:
    """What `accelerate launch` tells its processes of how to divide the weights, by a file of configuration."""
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env

    parser = launch_command_parser()
    command = ["--config_file", str(configuration), "--main_process_port", "0", "train.py"]  # 0: any that is free
    arguments, _, _ = _validate_launch_command(parser.parse_args(command))
    arguments.deepspeed_fields_from_accelerate_config = ""  # the launcher sets it between the two
    told = prepare_deepspeed_cmd_env(arguments)[1] if arguments.use_deepspeed else prepare_multi_gpu_env(arguments)
    kinds = ("ACCELERATE_USE_", "FSDP_", "ACCELERATE_DEEPSPEED_", "ACCELERATE_GRADIENT_")
    return {name: value for name, value in told.items() if name.startswith(kinds)}


def without_plots() -> None:
    """Plots take most of the time of a tiny run, and show nothing that is compared."""
    import hf_clcl.stream.output

    hf_clcl.stream.output.plot_matrix = hf_clcl.stream.output.plot_curves = lambda *args: None


def written_files() -> list[str]:
    """The list that will name the files and folders which this process puts in their place."""
    moved: list[str] = []
    for name in ("replace", "rename"):
        original = getattr(os, name)

        def recorded(source, target, original=original):
            moved.append(str(target))
            return original(source, target)

        setattr(os, name, recorded)
    return moved


def shard_on_a_cpu() -> None:
    """`accelerate` divides weights among accelerators alone; everything below it runs on a CPU as well."""
    from accelerate.state import AcceleratorState, DistributedType

    original = AcceleratorState.__init__

    def patched(self: AcceleratorState, *args, fsdp_plugin=None, deepspeed_plugin=None, **kwargs) -> None:
        original(self, *args, fsdp_plugin=fsdp_plugin, deepspeed_plugin=deepspeed_plugin, **kwargs)
        if self.distributed_type != DistributedType.MULTI_CPU:
            return
        # Each state begins with what `PartialState` knows.
        if plugin := fsdp_plugin or vars(self).get("fsdp_plugin"):
            self.distributed_type, self.fsdp_plugin = DistributedType.FSDP, plugin
        if plugin := deepspeed_plugin or vars(self).get("deepspeed_plugins"):
            self.distributed_type, self.deepspeed_plugins = DistributedType.DEEPSPEED, plugin
            plugin.set_mixed_precision("no")
            plugin.select(_from_accelerator_state=True)

    AcceleratorState.__init__ = patched


def divided_optimisers() -> tuple[list[tuple[int, bool]], WeakSet]:
    """What will tell each optimiser's stage of ZeRO, and whether this process, one of two, has half of it; and the
    engines of DeepSpeed that are still there."""
    import deepspeed

    # It would be compiled, which takes minutes, and stands for what gloo does.
    sys.modules["deepspeed.comm.torch"].build_shm_op = lambda: None
    seen: list[tuple[int, bool]] = []
    engines: WeakSet = WeakSet()
    original = deepspeed.initialize

    def recorded(*args, model, **kwargs):
        learns = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
        engine, optimizer, *others = original(*args, model=model, **kwargs)
        own = sum(part.numel() for part in optimizer.single_partition_of_fp32_groups)
        engines.add(engine)
        seen.append((engine.zero_optimization_stage(), learns <= 2 * own < learns + 100))  # 100: padding
        return engine, optimizer, *others

    deepspeed.initialize = recorded
    return seen, engines


def divided_tasks() -> list[str]:
    """The list that will name the class of each model that a task ends with, one that is divided or a plain one."""
    from hf_clcl.training import trainer

    classes: list[str] = []
    original = trainer.gathered_model

    def recorded(model):
        classes.append(type(model).__name__)
        return original(model)

    trainer.gathered_model = recorded
    return classes


def main() -> int:
    from accelerate import PartialState

    from hf_clcl.cli.train import main as train

    by_deepspeed = bool(os.environ.get("ACCELERATE_USE_DEEPSPEED"))
    if os.environ.get("ACCELERATE_USE_FSDP") or by_deepspeed:
        shard_on_a_cpu()
    optimisers, engines = divided_optimisers() if by_deepspeed else ([], [])
    without_plots()
    moved, classes = written_files(), divided_tasks()
    end, PartialState.destroy_process_group = PartialState.destroy_process_group, lambda self: None
    codes = [train(run) for run in json.loads(sys.argv[1])]
    end(PartialState())
    sys.stdout.write(f"rank {os.environ['RANK']}: codes {codes}, {len(moved)} files written\n")
    sys.stdout.write(f"{classes.count('FSDPCLIPModel')} divided\n")
    gc.collect()
    sys.stdout.write(f"stages {[stage for stage, halved in optimisers if halved]}, {len(engines)} left\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
