"""Check the values of a recipe for the Hub."""

from __future__ import annotations

import re

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")


def hub_problems(
    push_to_hub: bool | None = None, hub_model_id: str | None = None, hub_token_env: str | None = None
) -> list[str]:
    """Problems of the values of a recipe for the Hub, one line each.

    Args:
        push_to_hub (`bool`, *optional*): Whether the run pushes to the Hub.
        hub_model_id (`str`, *optional*): The repository, `owner/name`.
        hub_token_env (`str`, *optional*): Name of the environment variable with the token.
    """
    problems = []
    if push_to_hub and not hub_model_id:
        problems.append("push_to_hub: needs hub_model_id, the repository to push to, such as your-name/clip-mtil-zscl")
    if hub_model_id and not is_repository(hub_model_id):
        problems.append(f"hub_model_id: must be owner/name, such as your-name/clip-mtil-zscl, got {hub_model_id!r}")
    if hub_token_env and not _VARIABLE.fullmatch(hub_token_env):
        # The value is not shown, since it may be a token.
        problems.append("hub_token_env: must be the name of an environment variable in capital letters, not a token")
    return problems


def is_repository(name: str) -> bool:
    """Whether a name is a valid `owner/name` of the Hub."""
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return name.count("/") == 1
