"""Values that must be there."""

from __future__ import annotations

import pytest

from hf_clcl.utils.required import required


def test_gives_the_value_and_names_what_is_missing() -> None:
    assert required(0, "count") == 0
    with pytest.raises(ValueError, match="label column of task a is missing"):
        required(None, "label column of task a")
