"""States of a training as safetensors and back."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from hf_clcl.hub.plain_state import PICKLED, PLAIN, write_back, write_plain
from hf_clcl.utils.errors import UserError


def states():
    """What the `Trainer` saves, with everything that JSON does not know."""
    weight = torch.nn.Parameter(torch.randn(4, 3))
    optimizer = torch.optim.AdamW([weight], lr=1 / 3)
    (weight**2).sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.1**step)
    yield "optimizer.pt", optimizer.state_dict()
    yield "optimizer_1.pt", optimizer.state_dict()
    yield "scheduler.pt", scheduler.state_dict()
    yield "scaler.pt", torch.amp.GradScaler("cpu").state_dict()
    yield "rng_state_1.pth", {
        "python": random.getstate(), "numpy": np.random.get_state(), "cpu": torch.random.get_rng_state()
    }  # fmt: skip
    yield "scheduler.pt", {"nothing": None, "infinite": float("inf"), "half": torch.ones(3, dtype=torch.bfloat16)[1:]}


def same(one, other):
    assert type(one) is type(other)
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype and torch.equal(one, other)
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype and (one == other).all()
    elif isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            same(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for first, second in zip(one, other, strict=True):
            same(first, second)
    else:
        assert one == other


def test_every_bit_comes_back(tmp_path):
    from transformers.trainer_pt_utils import safe_globals

    for name, state in states():
        source = tmp_path / name
        torch.save(state, source)
        plain = write_plain(source, tmp_path)
        assert PICKLED.fullmatch(name) and PLAIN.fullmatch(plain.name)
        source.unlink()
        assert write_back(plain) == source and not plain.exists()
        with safe_globals():  # as the `Trainer` reads it
            same(state, torch.load(source, weights_only=True))


def test_a_file_that_is_no_state_is_told_of(tmp_path):
    file = tmp_path / "optimizer.safetensors"
    for metadata in (None, {"state": "{"}, {"state": '{"tensor": "7"}'}, {"state": "[" * 5000}):
        save_file({"0": torch.ones(2)}, file, metadata=metadata)
        with pytest.raises(UserError, match="optimizer.safetensors contains no training state"):
            write_back(file)
    assert not (tmp_path / "optimizer.pt").exists()
