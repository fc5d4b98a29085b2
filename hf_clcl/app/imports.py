"""Libraries that are imported when they are first needed, in whichever thread."""

from __future__ import annotations

from threading import Lock

_LOCK = Lock()


def import_transformers() -> None:
    """Import `transformers` in one thread alone.

    `datasets` looks into `transformers` wherever it is among the imported modules, so it must not see one that another
    thread has half imported.
    """
    with _LOCK:
        import transformers  # noqa: F401
