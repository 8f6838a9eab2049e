"""An environment of its own for each peer, made on demand under ``build/peers``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "peers"
INSTALL_TIMEOUT_S = 900.0

OURS = ""
"""The environment that the benchmark runs in."""

REQUIREMENTS: dict[str, tuple[str, ...]] = {
    "hipo": ("numpy==2.4.6", "highspy==1.15.1", "highspy-extras==1.15.1"),
    "linopy": ("linopy==0.10.1", "highspy==1.15.1"),
    "cvxpy": ("cvxpy==1.9.3", "highspy==1.15.1"),
    # 4.0 and later need Python 3.12.
    "pulp": ("pulp==3.3.2", "highspy==1.15.1", "numpy==2.4.6"),
    "pyoptinterface": ("pyoptinterface==0.6.1", "highsbox==1.15.1", "numpy==2.4.6"),
    "ortools": ("ortools==9.15.6755",),
    "flexmeasures": ("flexmeasures==1.0.1",),
    "acnportal": ("acnportal==0.3.3", "cvxpy==1.9.3", "highspy==1.15.1"),
    "emhass": ("emhass==0.18.7",),
}
"""What to install, by environment."""


class UnavailableError(Exception):
    """A peer cannot be run here; the message is the reason."""


def python_of(name: str) -> str:
    """The interpreter of an environment, which is made where it is missing or asks for something else by now.

    Raises:
        UnavailableError: It could not be made; the message has pip's last line.
    """
    if name == OURS:
        return sys.executable
    folder = FOLDER / name
    python, stamp = folder / "bin" / "python", folder / ".installed"
    wanted = "\n".join(REQUIREMENTS[name])
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return str(python)
    _run(sys.executable, "-m", "venv", str(folder))
    _run(str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *REQUIREMENTS[name])
    stamp.write_text(wanted, encoding="utf-8")
    return str(python)


def _run(*command: str) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            command, capture_output=True, text=True, check=False, timeout=INSTALL_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"installing took longer than {INSTALL_TIMEOUT_S:g} s") from error
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise UnavailableError(said[-1] if said else f"{command[0]} ended with {done.returncode}")
