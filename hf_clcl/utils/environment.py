"""Versions, commit and hardware of a run, for its record."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

PACKAGES = ("hf-clcl", "torch", "transformers", "accelerate", "peft", "datasets", "huggingface_hub", "pillow")


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that affect results, and the commit if this package is in a clone."""
    installed = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    if here := commit(Path(__file__).resolve().parents[2]):
        installed["commit"] = here
    return installed


def commit(clone: Path) -> str | None:
    """The commit that a clone has checked out, with `+` if files differ from it; `None` if it is not a clone."""
    if not (clone / ".git").exists():  # git would use a repository further up
        return None
    command = ["git", "-C", str(clone), "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=+"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):  # git is not installed, or may not read the folder
        return None


def device_name(device: torch.device) -> str:
    """Name of the hardware, such as `NVIDIA H100` or `CPU (Intel Xeon, 2 threads)`."""
    if device.type == "cuda":
        count = torch.cuda.device_count()
        return torch.cuda.get_device_name(device) + (f" x {count}" if count > 1 else "")
    if device.type != "cpu":
        return device.type
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return f"CPU ({model}, {torch.get_num_threads()} threads)"
