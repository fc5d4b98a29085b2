"""`.ci/audit` tells of vulnerabilities, and does not fail where nobody can be asked."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

AUDIT = Path(__file__).resolve().parents[2] / ".ci" / "audit"
FIND = 'while [ $# -gt 1 ]; do [ "$1" = --output ] && out=$2; shift; done'


@pytest.mark.parametrize(
    ("asks", "code", "said"),
    [
        ("exit 0", 0, "audit: no known vulnerabilities"),
        (
            "echo no route >&2; exit 1",
            0,
            "no route\naudit: could not reach the advisory database; nothing was checked",
        ),
        ("exec sleep 60", 0, "audit: could not reach the advisory database"),
        (f'{FIND}; echo "torch 1.0 CVE-1" >"$out"; exit 1', 1, "torch 1.0 CVE-1\naudit: known vulnerabilities"),
    ],
)
def test_what_it_says(asks, code, said, tmp_path):
    stub = tmp_path / "python"
    stub.write_text(f"#!/bin/sh\n{asks}\n")
    stub.chmod(0o755)
    environment = {"PATH": "/usr/bin:/bin", "AUDIT_SECONDS": "2"}
    done = subprocess.run([AUDIT, stub], capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == code and said in done.stdout, done
