"""`.ci/audit` tells of vulnerabilities, and does not fail where nobody can be asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from helpers import ROOT

AUDIT = ROOT / ".ci" / "audit"
FIND = 'while [ $# -gt 1 ]; do [ "$1" = --output ] && out=$2; shift; done'
SOUND = {"name": "numpy", "version": "2.0", "vulns": []}
BROKEN = {"name": "torch", "version": "1.0", "vulns": [{"id": "CVE-1", "fix_versions": ["1.1"]}]}
UNKNOWN = {"name": "ours", "skip_reason": "Dependency not found on PyPI"}
NOTHING = "audit: could not reach the advisory database; nothing was checked\n"


def report(*packages: dict, code: int = 0) -> str:
    return f"{FIND}; echo '{json.dumps({'dependencies': packages})}' >\"$out\"; exit {code}"


@pytest.mark.parametrize(
    ("asks", "code", "said"),
    [
        (report(SOUND), 0, "audit: 1 packages checked\naudit: no known vulnerabilities\n"),
        (report(SOUND, UNKNOWN), 0, "audit: 1 packages checked; not in the database: ours\naudit: no known"),
        (report(UNKNOWN), 0, NOTHING),
        ("echo no route >&2; exit 1", 0, f"no route\n{NOTHING}"),
        (f'{FIND}; : >"$out"; exit 1', 0, NOTHING),
        ("exec sleep 60", 0, f"no answer within 2 s\n{NOTHING}"),
        (report(SOUND, BROKEN, code=1), 1, "torch 1.0: CVE-1, fixed in 1.1\naudit: 2 packages checked\naudit: known"),
    ],
)
def test_what_it_says(asks, code, said, tmp_path):
    stub = tmp_path / "python"
    stub.write_text(f"#!/bin/sh\n{asks}\n")
    stub.chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "AUDIT_SECONDS": "2" if "sleep" in asks else "200"}
    command = [sys.executable, AUDIT, stub]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == code and said in done.stdout, done
