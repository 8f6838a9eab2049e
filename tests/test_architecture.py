"""What holds of the code itself: who imports whom, the public faces, docstrings, and time zones."""

from __future__ import annotations

import ast
import importlib
import inspect
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
NAIVE_CONSTRUCTORS = {"utcnow", "utcfromtimestamp", "today"}
"""Of datetime; they have no time zone whatever they are given."""
CLOCKS = {"now", "today", "utcnow"}
EDGES = {ROOT / "optimizer" / "cli.py", ROOT / "api" / "clock.py"}
"""Who may ask what time it is."""


SOURCES = sorted(
    path
    for package in ("models", "optimizer", "api")
    for path in (ROOT / package).rglob("*.py")
    if "migrations" not in path.parts  # scripts that Alembic runs
)


def module_name(path: Path) -> str:
    """``models/domain/__init__.py`` is ``models.domain``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = [module_name(path) for path in SOURCES]
FACES = [module_name(path) for path in SOURCES if "\n__all__ = " in path.read_text(encoding="utf-8")]


def test_packages_import_downwards_only() -> None:
    """The contracts of pyproject.toml hold: tests and benchmarks know the optimizer, the optimizer the models, the
    domain nobody; Pyomo, HiGHS, pydantic and the protocol stay where they belong.
    """
    command = shutil.which("lint-imports", path=str(Path(sys.executable).parent)) or shutil.which("lint-imports")
    assert command is not None, "import-linter is not installed"

    done = subprocess.run(
        [command, "--no-cache", "--config", "pyproject.toml"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout


class TestFaces:
    """What a package offers is in its `__all__`."""

    @pytest.mark.parametrize("name", ["models.domain", "models.oscp.v20", "optimizer", "api.persistence"])
    def test_every_package_with_a_face_lists_it(self, name: str) -> None:
        """Whoever reads the first page of a package sees all it offers."""
        assert name in FACES

    @pytest.mark.parametrize("name", FACES)
    def test_a_face_is_sorted(self, name: str) -> None:
        """Constants first, then classes, then functions, each by name, none twice: a diff shows what changed."""
        listed = importlib.import_module(name).__all__

        def rank(entry: str) -> tuple[int, str]:
            if entry.isupper():
                return 0, entry
            return (1 if entry[0].isupper() else 2), entry

        assert list(listed) == sorted(set(listed), key=rank)

    @pytest.mark.parametrize("name", FACES)
    def test_a_face_holds_what_it_promises(self, name: str) -> None:
        """Every name in it exists and is public; nothing else is imported into the package's first page."""
        module = importlib.import_module(name)
        imported = {
            alias.asname or alias.name
            for node in ast.parse(inspect.getsource(module)).body
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(name.split(".", maxsplit=1)[0])
            for alias in node.names
        }

        assert [entry for entry in module.__all__ if not hasattr(module, entry)] == []
        assert [entry for entry in module.__all__ if entry.startswith("_")] == []
        if module.__spec__ is not None and module.__spec__.submodule_search_locations is not None:
            assert imported <= set(module.__all__)


def own_members(module: ModuleType) -> Iterator[tuple[str, object]]:
    """Public functions and classes a module defines, and public methods and properties of its classes."""
    for name, member in vars(module).items():
        if name.startswith("_") or getattr(member, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(member):
            yield name, member
        if inspect.isclass(member):
            yield name, member
            for own_name, own in vars(member).items():
                target = own.__func__ if isinstance(own, classmethod | staticmethod) else own
                if not own_name.startswith("_") and (inspect.isfunction(target) or isinstance(target, property)):
                    yield f"{name}.{own_name}", target


class TestDocstrings:
    """Beyond what the linter sees in the text: what is there at run time."""

    @pytest.mark.parametrize("name", MODULES)
    def test_everything_public_says_what_it_is(self, name: str) -> None:
        """A module, its public functions, classes, methods and properties have a docstring of their own; one that
        dataclass makes up from the fields is none.
        """
        module = importlib.import_module(name)

        silent = [
            member_name
            for member_name, member in own_members(module)
            if not (inspect.getdoc(member) or "").strip() or (member.__doc__ or "").startswith(f"{member_name}(")
        ]
        assert (module.__doc__ or "").strip()
        assert silent == []

    @pytest.mark.parametrize("name", MODULES)
    def test_arguments_that_are_described_exist(self, name: str) -> None:
        """Whoever is named under ``Args:`` is an argument or a field: a renamed one takes its description along."""
        module = importlib.import_module(name)

        unknown = [
            f"{member_name}: {argument}"
            for member_name, member in own_members(module)
            if inspect.isfunction(member) or inspect.isclass(member)
            for argument in described(member)
            if argument not in inspect.signature(member).parameters
        ]
        assert unknown == []


def described(member: object) -> list[str]:
    """Names under ``Args:`` in a docstring."""
    lines = (inspect.getdoc(member) or "").splitlines()
    if "Args:" not in lines:
        return []
    names = []
    for line in lines[lines.index("Args:") + 1 :]:
        if line and not line.startswith("    "):
            break
        if line.startswith("    ") and not line.startswith("     ") and ":" in line:
            names.append(line.strip().split(":")[0])
    return names


def calls(path: Path) -> Iterator[ast.Call]:
    """Every call in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield node


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
class TestTime:
    """No instant without a time zone, and no clock but at the edge."""

    def test_no_naive_constructor(self, path: Path) -> None:
        """``datetime(...)``, ``fromtimestamp`` and ``now`` are given a zone; those that take none are not called."""
        naive = []
        for call in calls(path):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            owner = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
            has_zone = any(keyword.arg in ("tz", "tzinfo") for keyword in call.keywords)
            if owner.endswith(("datetime", "date")) and name in NAIVE_CONSTRUCTORS:
                naive.append(call.lineno)
            if name in ("fromtimestamp", "now") and owner.endswith("datetime"):
                zone_by_position = len(call.args) > (1 if name == "fromtimestamp" else 0)
                if not (has_zone or zone_by_position):
                    naive.append(call.lineno)
            if name == "datetime" and owner in ("", "datetime") and not has_zone and len(call.args) < 8:
                naive.append(call.lineno)
        assert naive == []

    def test_no_clock_but_at_the_edge(self, path: Path) -> None:
        """What time it is is an argument; only the command line asks."""
        asked = [
            call.lineno
            for call in calls(path)
            if isinstance(call.func, ast.Attribute)
            and call.func.attr in CLOCKS
            and ast.unparse(call.func.value).endswith(("datetime", "date"))
        ]
        assert path in EDGES or asked == []

    def test_no_environment(self, path: Path) -> None:
        """Nothing but the command line reads the environment; what a server tells its processes by it is no reading."""
        tree = ast.parse(path.read_text(encoding="utf-8"))
        written = {
            id(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)
        }
        read = [
            node.lineno
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and ast.unparse(node) in ("os.environ", "os.getenv")
            and id(node) not in written
        ]
        assert path in EDGES or read == []


def test_nothing_happens_at_import() -> None:
    """Importing the optimizer neither loads Pyomo, which takes half a second, nor prints nor logs anything."""
    script = (
        "import sys, optimizer, optimizer.heuristics, optimizer.verify; "
        "assert 'pyomo' not in sys.modules; assert 'highspy' not in sys.modules"
    )

    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
