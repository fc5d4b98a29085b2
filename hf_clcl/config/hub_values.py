"""Checks of the values for the Hub."""

from __future__ import annotations

import re

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import (
    validate_repo_id,
)

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")


def hub_problems(
    push_to_hub: bool | None = None, hub_model_id: str | None = None, hub_token_env: str | None = None
) -> list[str]:
    """What is wrong with the Hub's values of a recipe, a line each."""
    found = []
    if push_to_hub and not hub_model_id:
        found.append("push_to_hub: needs hub_model_id, the repository to push to, such as your-name/clip-mtil-zscl")
    if hub_model_id and not is_repository(hub_model_id):
        found.append(f"hub_model_id: needs owner/name, such as your-name/clip-mtil-zscl, found {hub_model_id!r}")
    if hub_token_env and not _VARIABLE.fullmatch(hub_token_env):
        # The value is not shown: it may be a token.
        found.append("hub_token_env: needs the name of an environment variable in capital letters, never a token")
    return found


def is_repository(name: str) -> bool:
    """Whether a name is `owner/name` as the Hub has it."""
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return name.count("/") == 1
