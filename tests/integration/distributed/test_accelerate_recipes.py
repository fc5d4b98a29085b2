"""The configurations of `accelerate launch`: what `accelerate` makes of each, and what cannot be sharded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file

from helpers import ROOT
from helpers.processes import launch_environment
from hf_clcl.config.arguments import ContinualTrainingArguments
from hf_clcl.config.lora import LoRA
from hf_clcl.distributed import zero as zero_module
from hf_clcl.distributed.launcher import launch_problems
from hf_clcl.methods import Method, create_method
from hf_clcl.stream.checks import launch_needs
from hf_clcl.utils.errors import RecipeError

ZERO = "ACCELERATE_DEEPSPEED"
FOLDER = ROOT / "recipes" / "accelerate"
EXPECTED = {
    "one_gpu": ("NO", 1, 1, False),
    "several_gpus": ("MULTI_GPU", 8, 1, False),
    "several_nodes": ("MULTI_GPU", 16, 2, False),
    "fsdp": ("FSDP", 8, 1, False),
    "deepspeed_zero2": ("DEEPSPEED", 8, 1, False),
    "cpu": ("NO", 1, 1, True),
}  # fmt: skip


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_accelerate_reads_each_configuration(path: Path) -> None:
    configuration = load_config_from_file(str(path))
    assert isinstance(configuration, ClusterConfig)
    found = (configuration.distributed_type, configuration.num_processes, configuration.num_machines)
    assert (*found, configuration.use_cpu) == EXPECTED[path.stem]
    assert f"accelerate launch --config_file recipes/accelerate/{path.name} " in path.read_text()
    told = launch_environment(path)
    assert (told.get("ACCELERATE_USE_FSDP") == "true") == (path.stem == "fsdp")
    assert (told.get("ACCELERATE_USE_DEEPSPEED") == "true") == (path.stem == "deepspeed_zero2")


@pytest.fixture
def problems(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """What keeps ZSCL from learning as a file says, with some of what launcher, recipe or method say changed."""

    def found(file: str, peft: LoRA | None = None, options: dict | None = None, **changed: object) -> str:
        told = {name: str(changed.pop(name)) for name in list(changed) if name.isupper()}
        args = ContinualTrainingArguments(output_dir=str(tmp_path), **changed)
        for name, value in {**launch_environment(FOLDER / f"{file}.yaml"), **told}.items():
            monkeypatch.setenv(name, value)
        task = SimpleNamespace(training={"optim": "adafactor"} if peft else {})
        return "\n".join(launch_problems(launch_needs(create_method("zscl", options or {}), args, peft, [task])))

    return found


@pytest.mark.parametrize("file", ["fsdp", "deepspeed_zero2", "several_gpus"])
def test_what_a_configuration_says_can_be_done(problems, file: str) -> None:
    assert problems(file) == ""


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"FSDP_VERSION": "1"}, "fsdp_version: must be 2, got 1"),
        ({"FSDP_STATE_DICT_TYPE": "SHARDED_STATE_DICT"}, "fsdp_state_dict_type: must be FULL_STATE_DICT"),
        ({"FSDP_CPU_RAM_EFFICIENT_LOADING": "true"}, "each process needs the teacher"),
        ({"FSDP_OFFLOAD_PARAMS": "true"}, "fsdp_offload_params: must be false"),
        ({"peft": LoRA()}, "peft: adapters are small .*several_gpus.yaml"),
        (
            {"options": {"averaging_device": "cpu"}},
            "averaging_device: cpu: FSDP shards the averages .* set it to model",
        ),
        ({"train_logit_scale": True}, "train_logit_scale: FSDP cannot shard a scalar"),
    ],
)
def test_what_fsdp_cannot_divide_is_named_with_the_remedy(problems, changed: dict, message: str) -> None:
    assert re.search(message, problems("fsdp", **changed))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({f"{ZERO}_ZERO_STAGE": 3}, "zero_stage: must be 1 or 2, got 3, which shards the weights, .*fsdp.yaml"),
        ({f"{ZERO}_ZERO_STAGE": 0}, "zero_stage: must be 1 or 2, got 0, which shards nothing"),
        (
            {f"{ZERO}_CONFIG_FILE": "zero.json"},
            "deepspeed_config_file: must be left out, got zero.json: .* the recipe",
        ),
        ({f"{ZERO}_OFFLOAD_OPTIMIZER_DEVICE": "cpu"}, "offload_optimizer_device: must be left out, got cpu"),
        ({f"{ZERO}_OFFLOAD_PARAM_DEVICE": "nvme"}, "offload_param_device: must be left out, got nvme"),
        ({"ACCELERATE_GRADIENT_CLIPPING": 1.0}, "gradient_clipping: must be left out, got 1.0: .*max_grad_norm"),
        ({"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": 2}, "gradient_accumulation_steps: must be left out, got 2"),
        ({"bf16": True}, "bf16: DeepSpeed would keep the weights, averages and anchors in bf16.*fsdp.yaml"),
        ({"peft": LoRA()}, "(?s)peft: adapters are small.*optim: adafactor cannot be sharded"),
        ({"train_logit_scale": True}, "train_logit_scale: DeepSpeed cannot train a scalar"),
        ({"skip_nonfinite_steps": 1}, "skip_nonfinite_steps: .* leave it out"),
        ({"optim": "adafactor"}, "optim: adafactor cannot be sharded .* choose one of adamw_torch"),
        ({"options": {"averaging": "towards_start"}}, "averaging: towards_start changes the weights"),
    ],
)
def test_what_deepspeed_cannot_divide_is_named_with_the_remedy(problems, changed: dict, message: str) -> None:
    assert re.search(message, problems("deepspeed_zero2", **changed))


def test_a_method_of_a_user_says_itself_whether_it_moves_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    @dataclass
    class Mine(Method):
        name: ClassVar[str] = "mine"
        averaging_interval: int = 5  # and no `averaging`

    class Moves(Mine):
        moves_weights = "averaging_interval: 5"

    args = ContinualTrainingArguments(output_dir=str(tmp_path))
    for name, value in launch_environment(FOLDER / "deepspeed_zero2.yaml").items():
        monkeypatch.setenv(name, value)
    assert launch_problems(launch_needs(Mine(), args, None, [])) == []
    (problem,) = launch_problems(launch_needs(Moves(), args, None, []))
    assert problem.startswith("averaging_interval: 5 changes the weights")


def test_a_deepspeed_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    monkeypatch.setattr(zero_module, "is_deepspeed_available", lambda: False)
    with pytest.raises(RecipeError, match=r"not installed: pip install .*hf-clcl\[deepspeed\]"):
        ContinualTrainingArguments.checked({"output_dir": str(tmp_path)})
