"""What is freed is kept for what comes next, and given back before memory is measured."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys, torch
from hf_clcl.allocator import give_back, keep_freed

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 2**20

def faults_of_a_step():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    kept = [torch.ones(5_000_000) for _ in range(5)]  # 95 MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

kept = keep_freed()
for _ in range(4):
    faults_of_a_step()
faults, full = faults_of_a_step(), resident()
give_back()
print(kept, faults, full - resident())
"""


@pytest.fixture
def measured():
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("only the allocator of glibc has these settings")

    def measure(**environment):
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env=environment or None
        )
        kept, faults, given_back = run.stdout.split()
        return kept == "True", int(faults), float(given_back)

    return measure


def test_freed_memory_is_kept_until_it_is_given_back(measured):
    kept, faults, given_back = measured()
    assert kept and faults < 1000 and given_back > 90


def test_a_user_who_sets_the_allocator_is_left_alone(measured):
    kept, faults, _ = measured(MALLOC_TRIM_THRESHOLD_="1000000")
    assert not kept and faults > 20_000


def test_another_library_is_left_alone(monkeypatch):
    from hf_clcl.utils import allocator

    monkeypatch.setattr(platform, "libc_ver", lambda: ("musl", "1.2"))
    assert allocator.keep_freed() is False
    allocator.give_back()
