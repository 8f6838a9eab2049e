"""axe-core for the browser tests: fetched into build/ where npm is, never part of the repository."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

VERSION = "4.14.1"
FOLDER = Path(__file__).parents[2] / "build" / "axe-core"
TIMEOUT_S = 120


def script() -> str | None:
    """The source of axe-core; None where it is not there and cannot be fetched.

    It is fetched only where it was asked for (`python -m tests.browser.axe`), not by a run of the tests.
    """
    path = FOLDER / VERSION / "axe.min.js"
    return path.read_text(encoding="utf-8") if path.exists() else None


def fetch() -> Path:
    """Fetch it with npm, which checks what it fetches, unless it is there.

    Raises:
        RuntimeError: There is no npm, or it cannot fetch.
    """
    path = FOLDER / VERSION / "axe.min.js"
    if path.exists():
        return path
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError("npm is not found")
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [npm, "pack", f"axe-core@{VERSION}", "--silent"],
            cwd=folder,
            env=os.environ | {"npm_config_update_notifier": "false"},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"npm pack failed: {done.stderr.strip()}")
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            member = archive.extractfile("package/axe.min.js")
            if member is None:
                raise RuntimeError("the package has no axe.min.js")
            content = member.read()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


if __name__ == "__main__":
    fetched = fetch()
    print(f"{fetched}: sha256 {hashlib.sha256(fetched.read_bytes()).hexdigest()}")
