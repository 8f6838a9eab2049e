"""One depot for all tests, and a browser for each that asks for one; without a Chromium they are skipped."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from tests.browser.bench import Browser, Depot, browsing

BINARIES = ("chromium", "chromium-browser", "google-chrome")
MISSING = "no Chromium with chromedriver here: install the packages chromium and chromium-driver to run these tests"


@pytest.fixture(scope="session")
def chromium() -> dict[str, str]:
    """Where Chromium and its driver are."""
    binary = next((path for name in BINARIES if (path := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip(MISSING)
    return {"binary": binary, "driver": driver}


@pytest.fixture(scope="module")
def depot(chromium: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Depot]:
    """The depot."""
    with closing(Depot(tmp_path_factory.mktemp("depot"))) as made:
        yield made


@pytest.fixture
def browse(depot: Depot, chromium: dict[str, str]) -> Iterator[Callable[..., Browser]]:
    """Opens browsers, which are closed in the end."""
    with ExitStack() as opened:

        def browse(**how: Any) -> Browser:
            return opened.enter_context(
                browsing(depot.url, binary=chromium["binary"], driver=chromium["driver"], **how)
            )

        yield browse


@pytest.fixture
def browser(browse: Callable[..., Browser]) -> Iterator[Browser]:
    """A wide browser whose operator is signed in; its console must stay clean."""
    made = browse()
    made.sign_in()
    yield made
    assert made.complaints() == []
