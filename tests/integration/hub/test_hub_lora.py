"""A LoRA stream on the Hub: plain weights and the task's adapter in each revision, for the real `peft`."""

from __future__ import annotations

import json

import pytest
import torch
from peft import PeftConfig, PeftModel
from transformers import CLIPModel

from helpers.hub_runs import NAMES, TAGS, Stopped, python_of
from hf_clcl import LoRA, RunRecord
from hf_clcl.hub import list_checkpoints, list_tasks, pull_run
from hf_clcl.training.trainer import ContinualTrainer

LORA = LoRA(r=2, keep_adapters=True)


@pytest.fixture(scope="module")
def adapters(online, stream, tmp_path_factory):
    """A LoRA run of two tasks, pushed to `me/lora`."""
    folder = tmp_path_factory.mktemp("lora")
    stream(folder, NAMES[:2], push_to_hub=True, hub_model_id="me/lora", peft=LORA)
    return folder


def difference(one, other):
    other = other.state_dict()
    return max(float((tensor - other[name]).abs().max()) for name, tensor in one.state_dict().items())


def test_each_revision_is_a_plain_clip_and_an_adapter_for_the_one_before(hub, adapters, tiny_clip):
    assert list_tasks("me/lora") == TAGS[:3]
    start = base = CLIPModel.from_pretrained(tiny_clip)
    for tag in TAGS[1:3]:
        config = PeftConfig.from_pretrained("me/lora", revision=tag, subfolder="adapter")
        named = CLIPModel.from_pretrained(config.base_model_name_or_path, revision=config.revision)
        assert difference(named, base) == 0
        adapted = PeftModel.from_pretrained(named, "me/lora", revision=tag, subfolder="adapter").merge_and_unload()
        plain = CLIPModel.from_pretrained("me/lora", revision=tag)
        assert difference(adapted, plain) < 1e-6 < difference(plain, base)
        base = plain
    assert difference(CLIPModel.from_pretrained("me/lora"), base) == 0 and difference(base, start) > 0
    local = json.loads((adapters / TAGS[2] / "adapter" / "adapter_config.json").read_text())
    assert local["base_model_name_or_path"] == TAGS[1]  # in the folder of the run, the folder beside it


def test_the_card_tells_how_to_load_the_adapter(hub, adapters):
    card = hub.read("me/lora", "README.md").decode()
    codes = python_of(card)
    assert len(codes) == 2
    names = {}
    exec(codes[1], names)
    assert difference(names["model"].merge_and_unload(), CLIPModel.from_pretrained("me/lora")) < 1e-6


def test_a_lora_run_goes_on_within_a_task_on_another_machine(hub, stream, adapters, tmp_path, monkeypatch):
    original, calls = ContinualTrainer.training_step, []

    def training_step(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise Stopped
        return original(*args, **kwargs)

    pull_run("me/lora", tmp_path / "first", NAMES[0])
    values = {"push_to_hub": True, "hub_model_id": "me/lora-stopped", "hub_strategy": "checkpoint", "peft": LORA}
    with monkeypatch.context() as patch:
        patch.setattr(ContinualTrainer, "training_step", training_step)
        with pytest.raises(Stopped):
            stream(tmp_path / "first", NAMES[:2], **values)
    assert list_checkpoints("me/lora-stopped") == [f"checkpoints/{TAGS[2]}/checkpoint-1"]
    record = stream(tmp_path / "second", NAMES[:2], resume_from_hub="me/lora-stopped", **values)
    whole = RunRecord.load(adapters)
    assert record.accuracy == whole.accuracy
    assert [entry["loss"] for entry in record.losses] == [entry["loss"] for entry in whole.losses]
    first, second = (CLIPModel.from_pretrained(repo) for repo in ("me/lora", "me/lora-stopped"))
    assert all(torch.equal(tensor, second.state_dict()[name]) for name, tensor in first.state_dict().items())
