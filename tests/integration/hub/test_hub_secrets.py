"""Tokens are nowhere, and values that cannot be used are told of."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from helpers.hub_protocol import TOKEN
from helpers.hub_runs import NAMES, contents
from hf_clcl.cli.hub import main
from hf_clcl.hub import list_tasks
from hf_clcl.training.trainer import ContinualTrainer
from hf_clcl.utils.errors import RecipeError


def test_a_token_is_nowhere(hub, stream, pushed, tmp_path, monkeypatch, caplog, capfd):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setenv("MY_HUB_SECRET", TOKEN)
    hub.fault("POST", "/commit/", 500)
    hub.fault("POST", "/tag/", 403)
    original = ContinualTrainer._save_checkpoint

    def kept(self, *args):
        original(self, *args)
        if Path(self.args.output_dir, "checkpoint-1").exists():
            shutil.copytree(Path(self.args.output_dir, "checkpoint-1"), tmp_path / "kept", dirs_exist_ok=True)

    monkeypatch.setattr(ContinualTrainer, "_save_checkpoint", kept)
    with caplog.at_level(logging.DEBUG):
        stream(tmp_path / "run", NAMES[:2], push_to_hub=True, hub_model_id="me/secret", hub_token_env="MY_HUB_SECRET")
    assert len(list_tasks("me/secret", TOKEN)) == 3 and "403: the token may not do that" in caplog.text
    assert (tmp_path / "kept" / "training_args.bin").exists()
    everywhere = {**contents(tmp_path), **contents(pushed), **contents(hub.folder)}
    assert not [name for name, content in everywhere.items() if TOKEN.encode() in content]
    said = capfd.readouterr()
    assert TOKEN not in caplog.text + said.out + said.err


@pytest.mark.parametrize(
    "values, message",
    [
        ({"push_to_hub": True}, "push_to_hub: needs hub_model_id"),
        ({"push_to_hub": True, "hub_model_id": "no slash"}, "hub_model_id: must be owner/name"),
        ({"hub_token": "hf_secret0123456789"}, "hub_token: cannot be set"),
        ({"hub_token_env": "hf_secret0123456789"}, "must be the name of an environment variable"),
        ({"hub_strategy": "weekly"}, "weekly"),
        ({"resume_from_hub": "nowhere"}, "resume_from_hub: needs owner/name"),
    ],
)
def test_values_that_cannot_be_used(stream, tmp_path, values, message):
    with pytest.raises(RecipeError, match=message) as caught:
        stream(tmp_path / "run", **values)
    assert "hf_secret" not in str(caught.value)


def test_tokens_in_commands_are_refused(small, tmp_path, capsys):
    from hf_clcl.cli.train import main as train

    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("model_name_or_path: x\ntasks: [{name: a, dataset: b}]\n")
    assert train([str(recipe), "--hub_token", "hf_secret0123456789"]) == 2
    assert main(["push", str(small), "--hub_token=hf_secret0123456789"]) == 2
    assert main(["push", str(small), "--hub_model_id", "me/x", "--hub_token_env", "hf_secret0123456789"]) == 2
    assert main(["push", str(small), "--hub_model_id", "me/x", "--hub_token_env", "NOT_SET_HERE"]) == 1
    assert main(["push", str(tmp_path / "nothing")]) == 1
    assert main(["push", str(small)]) == 2
    told = capsys.readouterr().err
    assert "hf_secret" not in told and "Traceback" not in told
    assert "HF_TOKEN" in told and "NOT_SET_HERE" in told and "needs hub_model_id" in told
