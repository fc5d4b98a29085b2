"""What all endpoints share: errors as data and as a notice, and bars while something is computed."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Generator, Iterator
from typing import Any

from ...utils.errors import UserError
from ..views.html import notice, progress

logger = logging.getLogger(__name__)

# Endpoints that run models share two places; more would only wait for each other's cores.
MODELS: dict[str, Any] = {"concurrency_id": "models", "concurrency_limit": 2}


def answering(function: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    """An endpoint that returns `(data, html)`: an error that a user can mend becomes `{"error": ...}` and a notice."""

    @functools.wraps(function)
    def answer(*args: Any) -> tuple[Any, ...]:
        try:
            return function(*args)
        except UserError as error:
            return _failed(error)
        except Exception:
            logger.exception("%s failed", function.__name__)
            return _failed(UserError("something went wrong here; the terminal of the page tells what"))

    return answer


def reporting(
    function: Callable[..., Generator[tuple[float, str], None, tuple[Any, ...]]],
) -> Callable[..., Iterator[tuple[Any, ...]]]:
    """An endpoint from a generator that yields `(share, words)` and returns `(data, html)`."""

    @functools.wraps(function)
    def answer(*args: Any) -> Iterator[tuple[Any, ...]]:
        steps = function(*args)
        while True:
            try:
                share, words = next(steps)
            except StopIteration as end:
                yield end.value
                return
            except UserError as error:
                yield _failed(error)
                return
            except Exception:
                logger.exception("%s failed", function.__name__)
                yield _failed(UserError("something went wrong here; the terminal of the page tells what"))
                return
            yield {"progress": round(share, 3)}, progress(share, words)

    return answer


def _failed(error: UserError) -> tuple[dict[str, str], str]:
    return {"error": str(error)}, notice(str(error), "error")
