"""Thread-safe lazy import of `transformers`."""

from __future__ import annotations

from threading import Lock

_LOCK = Lock()


def import_transformers() -> None:
    """Import `transformers` in one thread at a time.

    `datasets` uses `transformers` if it is in `sys.modules`, so it must not see a module that another thread has only
    partly imported.
    """
    with _LOCK:
        import transformers  # noqa: F401
