"""What a measurement was taken on: versions, processor, memory, and how busy it was."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from optimizer.executors import usable_cores

PACKAGES = ("oscp-capacity-optimizer", "highspy", "pyomo", "numpy")
CPU_INFO = Path("/proc/cpuinfo")

Facts = dict[str, str | float | int | None]


def machine(packages: tuple[str, ...] = PACKAGES) -> Facts:
    """Facts by name, as JSON holds them; None where the platform does not tell.

    Args:
        packages: Whose versions are wanted.
    """
    return {
        "python": platform.python_version(),
        **{name: _version(name) for name in packages},
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": _processor(),
        "cores": usable_cores(),
        "memory_gib": _memory_gib(),
        "load_average_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str | None:
    if CPU_INFO.exists():
        for line in CPU_INFO.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or None


def _memory_gib() -> float | None:
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
