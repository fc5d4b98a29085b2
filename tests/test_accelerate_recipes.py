"""The configurations of `accelerate launch`: what `accelerate` makes of each, and what cannot be divided."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
from processes import ROOT, launch_environment

from hf_clcl.arguments import ContinualTrainingArguments
from hf_clcl.methods import create_method
from hf_clcl.recipe import LoRA
from hf_clcl.sharding import sharding_problems

FOLDER = ROOT / "recipes" / "accelerate"
EXPECTED = {
    "one_gpu": ("NO", 1, 1, False),
    "several_gpus": ("MULTI_GPU", 8, 1, False),
    "several_nodes": ("MULTI_GPU", 16, 2, False),
    "fsdp": ("FSDP", 8, 1, False),
    "cpu": ("NO", 1, 1, True),
}  # fmt: skip


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_accelerate_reads_each_configuration(path: Path) -> None:
    configuration = load_config_from_file(str(path))
    assert isinstance(configuration, ClusterConfig)
    found = (configuration.distributed_type, configuration.num_processes, configuration.num_machines)
    assert (*found, configuration.use_cpu) == EXPECTED[path.stem]
    assert f"accelerate launch --config_file recipes/accelerate/{path.name} " in path.read_text()
    assert (launch_environment(path).get("ACCELERATE_USE_FSDP") == "true") == (path.stem == "fsdp")


@pytest.fixture
def problems(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """What keeps ZSCL from learning as `fsdp.yaml` says, with some of what the launcher tells changed."""
    told_by_file = launch_environment(FOLDER / "fsdp.yaml")

    def found(peft: LoRA | None = None, averaging_device: str = "model", learns: bool = False, **told: str) -> str:
        args = ContinualTrainingArguments(output_dir=str(tmp_path), train_logit_scale=learns)
        method = create_method("zscl", {"averaging_device": averaging_device})
        for name, value in {**told_by_file, **told}.items():
            monkeypatch.setenv(name, value)
        return "\n".join(sharding_problems(method, args, peft))

    return found


def test_what_the_configuration_says_can_be_done(problems) -> None:
    assert problems() == ""


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"FSDP_VERSION": "1"}, "fsdp_version: must be 2, found 1"),
        ({"FSDP_STATE_DICT_TYPE": "SHARDED_STATE_DICT"}, "fsdp_state_dict_type: must be FULL_STATE_DICT"),
        ({"FSDP_CPU_RAM_EFFICIENT_LOADING": "true"}, "each process needs the teacher"),
        ({"FSDP_OFFLOAD_PARAMS": "true"}, "fsdp_offload_params: must be false"),
        ({"peft": LoRA()}, "peft: adapters are small .*several_gpus.yaml"),
        ({"averaging_device": "cpu"}, "averaging_device: FSDP divides zscl's averages .* leave it at model"),
        ({"learns": True}, "train_logit_scale: FSDP divides no single number"),
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, "DeepSpeed: zscl .* use FSDP"),
    ],
)
def test_what_cannot_be_divided_is_named_with_the_remedy(problems, changed: dict, message: str) -> None:
    assert re.search(message, problems(**changed))
