"""What all tables of bad inputs share: a command is refused in one message, and nothing on the disk changes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest


def contents(folder: Path) -> dict[str, str]:
    """Each file below a folder with a digest of what it holds."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }


def refused(
    main: Callable[[list[str]], int],
    arguments: Sequence[str],
    capfd: pytest.CaptureFixture[str],
    code: int,
    parts: Sequence[str],
    kept: Path | None = None,
) -> str:
    """Run a command that must be refused, and return its message.

    Args:
        main (`Callable[[list[str]], int]`): The command; what it does not catch fails the test, as a traceback would.
        arguments (`Sequence[str]`): Its arguments.
        capfd (`pytest.CaptureFixture`): Catches what it writes.
        code (`int`): The exit code that is right.
        parts (`Sequence[str]`): What the message has to say: the name of the thing, and the remedy.
        kept (`Path`, *optional*): A folder in which nothing may change.
    """
    before = contents(kept) if kept is not None else None
    capfd.readouterr()
    found = main(list(arguments))
    said = capfd.readouterr().err
    assert found == code, said
    assert said.count("error: ") == 1 and "Traceback" not in said, said
    message = said[said.index("error: ") :]
    for part in parts:
        assert part in message, f"{part!r} is not in: {message}"
    assert len(message) < 3000 and all(sign.isprintable() or sign == "\n" for sign in message), message
    assert before is None or contents(kept) == before
    return message
