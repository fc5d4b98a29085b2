"""The allocator variables of docs/devices.md keep freed memory, and a new phase begins without it."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys

import pytest

from helpers import ROOT

PROGRAM = """
import resource, psutil, torch
from hf_clcl.utils.phases import measured

def resident():
    return psutil.Process().memory_info().rss / 2**20

def faults_of_a_step():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    kept = [torch.ones(5_000_000) for _ in range(5)]  # 95 MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

for _ in range(4):
    faults_of_a_step()
faults, full = faults_of_a_step(), resident()
with measured([], "next"):
    print(faults, full - resident())
"""


def measure(**variables: str) -> tuple[int, float]:
    """Page faults of a step, and the MB that a phase returns to the system when it begins."""
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("only the allocator of glibc has these settings")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", PROGRAM]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env={**environment, **variables})
    faults, returned = run.stdout.split()
    return int(faults), float(returned)


def test_freed_memory_is_kept_with_the_documented_variables():
    text = (ROOT / "docs" / "devices.md").read_text(encoding="utf-8")
    variables = dict(re.findall(r"(MALLOC_\w+_)=(\S+)", text))
    assert variables.keys() == {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"}
    faults, returned = measure(**variables)
    assert faults < 1000 and returned > 90


def test_the_measure_sees_memory_that_is_returned():
    faults, _ = measure(MALLOC_TRIM_THRESHOLD_="1000000")
    assert faults > 20_000
