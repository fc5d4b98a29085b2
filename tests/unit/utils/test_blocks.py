"""Chunks of tensors that fit into a processor's cache."""

from __future__ import annotations

import torch

from hf_clcl.utils import blocks


def test_chunks_cover_tensors_and_share_their_storage(monkeypatch):
    monkeypatch.setattr(blocks, "CHUNK_SIZE", 4)
    seen, filled = torch.arange(10.0).view(2, 5), torch.zeros(2, 5)
    for of_seen, part in blocks.cache_sized_chunks(seen, filled):
        assert len(part) <= 4
        part.copy_(of_seen)
    assert torch.equal(seen, filled)
    assert len(list(blocks.cache_sized_chunks(torch.empty(0)))) == 1
