"""Hub client: tokens, retries and readable error messages."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from huggingface_hub import HfApi
from huggingface_hub.errors import OfflineModeIsEnabled
from huggingface_hub.utils import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
)

from ..config.hub_values import hub_problems
from ..utils.errors import RecipeError, UserError

logger = logging.getLogger(__name__)

T = TypeVar("T")
# Other files that a repository may contain: those of the Hub and of the owner.
OWNERS = {".gitattributes", ".gitignore", "README.md", "LICENSE", "LICENSE.md"}

WAITS = (1.0, 2.0, 4.0, 8.0, 16.0)  # seconds between attempts, unless the server asks for more
LONGEST_WAIT = 300.0
_TOKEN = re.compile(r"hf_\w{8,}|(?<=Bearer )[^\s'\"]+")
_ADVICE = {
    401: "the token is missing or not valid; set HF_TOKEN or log in with `hf auth login`",
    403: "the token may not do that; it needs write access, and {repo} must belong to you or your organisation",
    404: "no such repository or revision, or a private one that the token may not read",
    409: "the repository is being changed by another client; try again",
    429: "too many requests; try again later",
}


def hub_api(token: str | None = None) -> HfApi:
    """Create a Hub client.

    Args:
        token (`str`, *optional*): Access token; by default `HF_TOKEN` or the login. The server is `HF_ENDPOINT`.
    """
    return HfApi(token=token, library_name="hf_clcl")


def token_from(variable: str | None) -> str | None:
    """Read the token from an environment variable.

    Args:
        variable (`str`, *optional*): Name of the variable; `None` for `HF_TOKEN` or the login.

    Raises:
        UserError: If the variable has no valid token. The message never shows its value.
    """
    if variable is None:
        return None
    if problems := hub_problems(hub_token_env=variable):
        raise RecipeError(problems, "the values for the Hub")
    token = os.environ.get(variable, "").strip()
    if not re.fullmatch(r"[!-~]+", token):  # the HTTP library would show a line break in its error message
        raise UserError(f"hub_token_env: the environment variable {variable} has no valid token; set it")
    return token


def with_retries(call: Callable[[], T]) -> T:
    """Call a function and retry temporary errors: busy or failing servers, dropped connections.

    `http_backoff` of `huggingface_hub` repeats single requests. If the response to a commit, tag or new repository is
    lost, its existence must be checked before a retry, so whole operations are repeated here.
    """
    for wait in (*WAITS, None):
        try:
            return call()
        except Exception as error:  # the client, its HTTP library and the file system share no base class
            if wait is None or is_final(error):
                raise
            pause = max(wait, min(_retry_after(error), LONGEST_WAIT))
            logger.info("%s; retrying in %g s", explain(error), pause)
            time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def is_final(error: BaseException) -> bool:
    """Whether a retry would fail in the same way."""
    status = status_of(error)
    if status is None:
        return isinstance(error, (UserError, OfflineModeIsEnabled))
    return 400 <= status < 500 and status not in (408, 409, 412, 429)


def status_of(error: BaseException | None) -> int | None:
    """HTTP status of an error or of its cause; `None` without a response."""
    while error is not None:
        response = getattr(error, "response", None)
        if response is not None:
            return response.status_code
        error = error.__cause__
    return None


def _retry_after(error: BaseException | None) -> float:
    while error is not None:
        value = getattr(getattr(error, "response", None), "headers", {}).get("retry-after", "")
        if value.isdigit():
            return float(value)
        error = error.__cause__
    return 0.0


def explain(error: BaseException, repo_id: str = "the repository") -> str:
    """Describe an error in one line, without URLs and tokens."""
    if isinstance(error, UserError):
        return str(error)
    status = status_of(error)
    if status in _ADVICE:
        return f"{status}: {_ADVICE[status].format(repo=repo_id)}"
    if status is not None and status >= 500:
        return f"{status}: the Hub has an internal error"
    lines = str(error).strip().splitlines()
    return _TOKEN.sub("***", f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__)


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Disable the progress bars of uploads, which would disturb that of training."""
    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            enable_progress_bars()
