"""A depot on a server in a process of its own, its flexibility provider, and a browser that looks at it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from benchmarks.flexibility_provider import FlexibilityProvider
from benchmarks.live_server import Operator, free_port, server_process

KEY = "the-key-of-the-operator"
PATIENCE_S = 120.0
HOUR = timedelta(hours=1)
STILL = (
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

T = TypeVar("T")


def until(found: Callable[[], T], what: str) -> T:
    """What is found in the end; it must be true."""
    end_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            value = found()
        except StaleElementReferenceException:
            value = None
        if value:
            return value
        assert time.monotonic() < end_s, f"not within {PATIENCE_S} s: {what}"
        time.sleep(0.1)


class Depot:
    """A depot with two cars, one of which leaves in two hours, behind what its provider says.

    Args:
        folder: Where its server keeps its state.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._running = ExitStack()
        self.url = f"http://127.0.0.1:{self._port}"
        self.provider = FlexibilityProvider()
        self.operator = Operator(self.url, KEY)
        self.start()
        self._put()

    def start(self) -> None:
        """Start its server."""
        database_url = f"sqlite:///{self._folder / 'state.db'}"
        log = self._folder / "server.log"
        self._running.enter_context(server_process(database_url, log, operator_key=KEY, port=self._port))

    def stop(self) -> None:
        """Kill its server."""
        self._running.close()

    def close(self) -> None:
        """End everything."""
        self.operator.close()
        self.stop()
        self.provider.close()

    def forecast(self, *capacities_kw: float) -> None:
        """The capacity of each hour, the first is this one."""
        start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        blocks = [
            {
                "capacity": capacity_kw,
                "phase": "ALL",
                "unit": "KW",
                "start_time": (start + at * HOUR).isoformat(),
                "end_time": (start + (at + 1) * HOUR).isoformat(),
            }
            for at, capacity_kw in enumerate(capacities_kw)
        ]
        body = {"group_id": "main", "type": "CONSUMPTION", "forecasted_blocks": blocks}
        try:
            status = self.provider.send("/update_group_capacity_forecast", body)
        except OSError:
            # The server has hung up, for nothing was said for a while.
            status = self.provider.send("/update_group_capacity_forecast", body)
        assert status == HTTPStatus.NO_CONTENT

    def _put(self) -> None:
        invited = self.operator.do("POST", "/v1/peers", {"name": "grid operator"})
        self.provider.register(invited["base_url"], invited["token"])
        site = {
            "peer_id": invited["peer_id"],
            "currency": "EUR",
            "time_zone": "Europe/Amsterdam",
            "groups": [
                {"group_id": "main", "import_limit_kw": 60.0},
                {"group_id": "yard", "parent_id": "main", "import_limit_kw": 40.0, "current_limit_a": [100, 100, 100]},
            ],
            "chargers": [
                {"charger_id": "C1", "group_id": "yard", "max_power_kw": 22.0},
                {"charger_id": "C2", "group_id": "main", "max_power_kw": 22.0},
            ],
        }
        now = datetime.now(UTC).replace(microsecond=0)
        sessions = [_session("S1", "C1", now, 2, 20.0), _session("S2", "C2", now, 5, 40.0)]
        hour = now.replace(minute=0, second=0)
        prices = [
            {
                "start": (hour + at * HOUR).isoformat(),
                "end": (hour + (at + 1) * HOUR).isoformat(),
                "import_price_per_kwh": 0.1 + 0.05 * at,
            }
            for at in range(8)
        ]
        self.operator.do("PUT", "/v1/sites/depot", site)
        self.operator.do("PUT", "/v1/sites/depot/prices", prices)
        self.operator.do("POST", "/v1/sites/depot/sessions", sessions)
        self.forecast(*[50.0] * 8)
        other = self.operator.do("POST", "/v1/peers", {"name": "another"})
        elsewhere = {"groups": [{"group_id": "far"}], "chargers": [], "time_zone": "UTC", "currency": "EUR"}
        self.operator.do("PUT", "/v1/sites/elsewhere", elsewhere | {"peer_id": other["peer_id"]})


class Browser:
    """A Chromium that looks at a depot.

    Args:
        driver: Drives it.
        url: Of the depot's server.
    """

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver = driver
        self._url = url

    def open(self, view: str = "/") -> None:
        """Go to a view."""
        self.driver.get(f"{self._url}/#{view}")

    def go(self, view: str) -> None:
        """Go to another view without loading the page again."""
        self.driver.execute_script("location.hash = arguments[0]", f"#{view}")

    def sign_in(self, key: str = KEY) -> None:
        """Give a key, and see the sites."""
        self.open()
        self.find("#key").send_keys(key)
        self.find(".sign-in button").click()
        self.find(".site")

    def find(self, css: str, text: str = "") -> WebElement:
        """What is shown, and has a text, in the end."""

        def shown() -> WebElement | None:
            found: Sequence[WebElement] = self.driver.find_elements(By.CSS_SELECTOR, css)
            return next((one for one in found if one.is_displayed() and text in one.text), None)

        return until(shown, f"{css} {text}")  # type: ignore[return-value]

    def all(self, css: str) -> Sequence[WebElement]:
        """All that is there now."""
        found: Sequence[WebElement] = self.driver.find_elements(By.CSS_SELECTOR, css)
        return found

    def text(self, css: str) -> str:
        """The text of what is shown."""
        return self.find(css).text

    def run(self, script: str, *values: Any) -> Any:
        """What a script returns."""
        return self.driver.execute_script(script, *values)

    def complaints(self) -> list[str]:
        """What the console has got since the last look that is worse than a remark."""
        entries: list[dict[str, Any]] = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in entries if entry["level"] in ("SEVERE", "WARNING")]


@contextmanager
def browsing(url: str, *, binary: str, driver: str, phone: bool = False, dark: bool = False) -> Iterator[Browser]:
    """A Chromium with an empty profile; wide, or a phone that is touched."""
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1360,900", *STILL):
        options.add_argument(argument)
    if phone:
        metrics = {"width": 390, "height": 844, "pixelRatio": 2, "touch": True}
        options.add_experimental_option("mobileEmulation", {"deviceMetrics": metrics})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with closing(_Quitting(webdriver.Chrome(options=options, service=Service(driver)))) as opened:
        opened.driver.set_page_load_timeout(PATIENCE_S)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        opened.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        yield Browser(opened.driver, url)


class _Quitting:
    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def close(self) -> None:
        """End the browser and its driver, and hang up on it."""
        self.driver.quit()
        executor = self.driver.command_executor
        if not isinstance(executor, str):
            executor.close()  # type: ignore[no-untyped-call]


def _session(session_id: str, charger_id: str, arrival: datetime, hours: float, energy_kwh: float) -> dict[str, Any]:
    return {
        "session_id": session_id,
        "charger_id": charger_id,
        "arrival": arrival.isoformat(),
        "departure": (arrival + hours * HOUR).isoformat(),
        "energy_kwh": energy_kwh,
    }
