"""Decorators of API endpoints: error handling and progress bars."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Generator, Iterator
from typing import Any

from ...utils.errors import UserError
from ..views.html import notice, progress

logger = logging.getLogger(__name__)

# At most two requests run models at the same time; more would compete for the CPU cores.
MODELS: dict[str, Any] = {"concurrency_id": "models", "concurrency_limit": 2}


def answering(function: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    """Decorate an endpoint that returns `(data, html)`: an error is returned as `{"error": ...}` and a notice."""

    @functools.wraps(function)
    def answer(*args: Any) -> tuple[Any, ...]:
        try:
            return function(*args)
        except UserError as error:
            return _failed(error)
        except Exception:
            logger.exception("%s failed", function.__name__)
            return _failed(UserError("internal error; see the traceback in the terminal of the app"))

    return answer


def reporting(
    function: Callable[..., Generator[tuple[float, str], None, tuple[Any, ...]]],
) -> Callable[..., Iterator[tuple[Any, ...]]]:
    """Decorate a generator that yields `(share, message)` and returns `(data, html)`: shows a progress bar."""

    @functools.wraps(function)
    def answer(*args: Any) -> Iterator[tuple[Any, ...]]:
        steps = function(*args)
        while True:
            try:
                share, message = next(steps)
            except StopIteration as end:
                yield end.value
                return
            except UserError as error:
                yield _failed(error)
                return
            except Exception:
                logger.exception("%s failed", function.__name__)
                yield _failed(UserError("internal error; see the traceback in the terminal of the app"))
                return
            yield {"progress": round(share, 3)}, progress(share, message)

    return answer


def _failed(error: UserError) -> tuple[dict[str, str], str]:
    return {"error": str(error)}, notice(str(error), "error")
