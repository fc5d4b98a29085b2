"""Which images each step sees."""

import numpy as np
import pytest

from hf_clcl.data.batches import Draws


@pytest.mark.parametrize("size, batch", [(10, 4), (8, 4), (3, 8)])
def test_each_epoch_sees_every_row_once(size, batch):
    draws = Draws(size, batch, (7,))
    for epoch in range(3):
        steps = range(epoch * draws.steps_per_epoch, (epoch + 1) * draws.steps_per_epoch)
        assert sorted(np.concatenate([draws(step) for step in steps])) == list(range(size))


def test_epochs_differ_and_seeds_differ():
    draws = Draws(50, 50, (7,))
    assert not np.array_equal(draws(0), draws(1))
    assert not np.array_equal(draws(0), Draws(50, 50, (8,))(0))


def test_a_step_does_not_depend_on_the_steps_before():
    walked, fresh = Draws(10, 4, (7,)), Draws(10, 4, (7,))
    sequence = [walked(step) for step in range(20)]
    np.testing.assert_array_equal(fresh(13), sequence[13])


@pytest.mark.parametrize("wrap", [False, True])
def test_processes_share_the_batch_of_one(wrap):
    one = Draws(32, 8, (7,), wrap=wrap)
    two = [Draws(32, 4, (7,), rank=rank, world_size=2, wrap=wrap) for rank in range(2)]
    for step in range(9):
        np.testing.assert_array_equal(one(step), np.concatenate([draws(step) for draws in two]))


def test_uneven_last_batch_gives_every_process_as_many_rows():
    two = [Draws(9, 4, (7,), rank=rank, world_size=2) for rank in range(2)]
    assert len(two[0](1)) == len(two[1](1)) == 1


def test_wrapped_draws_are_never_short():
    draws = Draws(10, 4, (7,), wrap=True)
    assert {len(draws(step)) for step in range(12)} == {4}
    assert sorted(np.concatenate([draws(step) for step in range(5)])) == sorted([*range(10)] * 2)


def test_drop_last():
    draws = Draws(10, 4, (7,), drop_last=True)
    assert [len(draws(step)) for step in range(4)] == [4, 4, 4, 4]
