"""A person looks at the page: what is told to the server shows by itself, wherever and however it is looked at."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser import axe
from tests.browser.bench import KEY, Browser, Depot, until

VIEWS = ("/", "/site/depot", "/peers", "/outbox")
READY = {"/": ".site", "/site/depot": ".chart svg .layer", "/peers": ".log li", "/outbox": ".log li"}


def test_sign_in_with_the_keyboard(browse: Callable[..., Browser], depot: Depot) -> None:
    """The key field has the focus; a wrong key says so, the right one shows the sites; signed out, nothing is left."""
    browser = browse()
    browser.open()
    field = browser.find("#key")
    assert browser.run("return document.activeElement.id") == "key"

    field.send_keys("wrong", Keys.ENTER)
    assert "neither" in browser.find(".sign-in .error", "neither").text
    field.send_keys(KEY, Keys.ENTER)
    assert "50" in browser.find("[aria-label='Site depot'] .figures").text
    assert browser.run("return document.cookie") == ""

    browser.find("#sign-out").click()
    browser.find("#key")
    assert "depot" not in browser.text("body")
    # The wrong key was refused, which the console has.
    assert [one for one in browser.complaints() if "sign-in" not in one] == []


def test_a_forecast_arrives_and_the_plan_changes(browser: Browser, depot: Depot) -> None:
    """5 kW for all hours: the page shows capacity and plan anew, says what changed and who goes short, without being
    loaded again, and stays zoomed.
    """
    browser.go("/site/depot")
    browser.find(".fact.capacity dd", "50")
    browser.find(".chart svg .layer")
    browser.run("window.before = true")
    browser.find("button[aria-label='4 h from now']").click()
    ticks = "return [...document.querySelectorAll('.chart .axis text')].map((one) => one.textContent).join()"
    zoomed = until(lambda: browser.run(ticks), "an axis")

    depot.forecast(*[5.0] * 8)

    browser.find(".fact.capacity dd", "5\u202fkW")
    browser.find(".fact.planned dd", "5\u202fkW")
    browser.find(".fact.short dd", "kWh")
    browser.find("[aria-labelledby='short-title'] li", "group main limit")
    browser.find("[aria-labelledby='changes-title']", "capacity forecast of main")
    assert browser.run("return window.before") is True
    assert browser.find("button[aria-label='All there is']").get_attribute("aria-pressed") == "false"
    hours = [one for one in browser.run(ticks).split(",") if ":" in one]
    assert hours == [one for one in zoomed.split(",") if ":" in one]

    depot.forecast(*[50.0] * 8)
    browser.find(".fact.capacity dd", "50\u202fkW")


def test_what_if_sends_nothing(browser: Browser, depot: Depot) -> None:
    """A limit of nothing for four hours lets somebody go short, shown beside the present; the peer hears of nothing."""
    browser.go("/site/depot")
    browser.find(".chart svg .layer")
    before = len(depot.provider.optima)
    field = browser.find(".what-if input[name=limit]")
    field.clear()
    field.send_keys("1")
    browser.find(".what-if .primary").click()

    assert "Cost" in browser.find(".compare", "Short").text
    assert {"+", "\N{MINUS SIGN}"} & set("".join(one.text for one in browser.all(".compare .worse")))
    browser.find(".what-if-chart svg .would")
    assert len(depot.provider.optima) == before


def test_what_if_somebody_left_at_another_time(browser: Browser, depot: Depot) -> None:
    """A departure is asked for as a limit is: the two plans stand side by side."""
    browser.go("/site/depot")
    browser.find(".chart svg .layer")
    browser.find(".what-if label", "Departure").click()
    browser.find(".what-if select[name=departure]")
    browser.find(".what-if .primary").click()

    assert "Sessions short" in browser.find(".compare", "Short").text
    browser.find(".what-if-chart svg .would")


def test_it_says_what_would_have_served(browser: Browser, depot: Depot) -> None:
    """Under 5 kW somebody goes short: how many kW more would do, and what holds it back; opened, it stays open."""
    browser.go("/site/depot")
    browser.find(".chart svg .layer")
    depot.forecast(*[5.0] * 8)

    remedies = browser.find(".remedies li", "kW more").find_element(By.XPATH, "..").text
    assert "group main" in remedies
    browser.find(".list details summary", "What holds it back").click()
    browser.find(".held li", "group main is full")
    depot.forecast(*[4.0] * 8)
    browser.find(".fact.capacity dd", "4\u202fkW")
    browser.find(".held li", "group main is full")

    depot.forecast(*[50.0] * 8)
    browser.find(".fact.capacity dd", "50\u202fkW")


def test_what_capacity_is_worth(browser: Browser, depot: Depot) -> None:
    """Under 50 kW much can be handed back, under 5 more is worth asking for; block by block, and as a message; the
    peer hears of nothing.
    """
    browser.go("/site/depot")
    browser.find(".chart svg .layer")
    browser.find(".advice button").click()
    browser.find(".advice-words", "can be cut")
    browser.find(".advice-chart svg .spare")

    depot.forecast(*[5.0] * 8)
    browser.find(".advice-words", "There is a newer plan since")
    browser.find(".advice button", "again").click()
    browser.find(".advice-words", "More helps")
    browser.find(".advice-chart svg .asked")
    browser.find(".advice summary", "Block by block").click()
    assert "up to +" in browser.find(".advice tbody").text
    browser.find(".advice summary", "As a message").click()
    assert '"type": "CONSUMPTION"' in browser.find(".advice pre").text
    browser.go("/site/depot?group=yard")
    browser.find(".advice-words", "there is nobody to ask")

    assert "/adjust_group_capacity_forecast" not in depot.provider.requests
    depot.forecast(*[50.0] * 8)
    browser.go("/site/depot")
    browser.find(".fact.capacity dd", "50\u202fkW")


def test_currents_of_a_group(browser: Browser, depot: Depot) -> None:
    """Each conductor of the yard's connection under its 100 A."""
    browser.go("/site/depot?group=yard")
    browser.find(".chart svg .line-0")
    assert "Current of the fullest conductors" in browser.run("return document.querySelector('.chart svg').textContent")


def test_it_outlives_the_server(browse: Callable[..., Browser], depot: Depot) -> None:
    """Killed and started again: the page says the connection is lost, then is live, still signed in, and follows."""
    browser = browse()
    browser.sign_in()
    browser.go("/site/depot")
    browser.find("#live", "live")
    depot.stop()
    browser.find("#live", "lost")
    depot.start()

    browser.find("#live", "live")
    depot.forecast(*[17.0] * 8)
    browser.find(".fact.capacity dd", "17\u202fkW")
    depot.forecast(*[50.0] * 8)
    assert [one for one in browser.complaints() if "net::ERR" not in one] == []


def test_the_keyboard_reaches_everything(browser: Browser, depot: Depot) -> None:
    """The chart takes the focus; arrow keys move through its steps and say what holds there; plus zooms, 0 returns."""
    browser.go("/site/depot")
    browser.find(".chart svg .layer")
    for _ in range(60):
        ActionChains(browser.driver).send_keys(Keys.TAB).perform()
        if browser.run("return document.activeElement.classList.contains('chart')"):
            break
    else:
        pytest.fail("Tab does not reach the chart")
    ActionChains(browser.driver).send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT).perform()
    said = until(lambda: browser.run("return document.getElementById('announce').textContent"), "what the chart says")
    assert "Planned" in said

    axis = "return document.querySelectorAll('.chart .axis')[0].textContent"
    home = browser.run(axis)
    ActionChains(browser.driver).send_keys("+", "+", "+").perform()
    until(lambda: browser.run(axis) != home, "another axis")
    ActionChains(browser.driver).send_keys("0").perform()
    until(lambda: browser.run(axis) == home, "the axis as it was")


def test_a_peer_sees_its_own(browse: Callable[..., Browser], depot: Depot) -> None:
    """The operator sees two sites; the peer, with the token it presents, its own, and nobody sees that token."""
    browser = browse()
    browser.sign_in()
    browser.find("[aria-label='Site elsewhere']")
    browser.find("#sign-out").click()
    browser.find("#key")
    browser.sign_in(depot.provider.token)

    browser.find("[aria-label='Site depot']")
    assert "elsewhere" not in browser.text("body")
    browser.go("/peers")
    browser.find(".log li")
    assert "another" not in browser.text("main")
    assert depot.provider.token not in browser.run("return document.documentElement.outerHTML")
    assert browser.complaints() == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_phone(browse: Callable[..., Browser], depot: Depot, dark: bool) -> None:
    """Nothing is wider than 390 pixels in any view, and dark is dark."""
    browser = browse(phone=True, dark=dark)
    browser.sign_in()
    for view in VIEWS:
        browser.go(view)
        browser.find(READY[view])
        if view == "/site/depot":
            ask_for_advice(browser)
        widest = browser.run("return document.documentElement.scrollWidth")
        assert widest <= 390, view
    red, *_ = browser.run("return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (red < 60) is dark
    assert browser.complaints() == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_serious(browse: Callable[..., Browser], depot: Depot, dark: bool) -> None:
    """Names, roles, contrast and focus of every view, by axe-core."""
    script = axe.script()
    if script is None:
        pytest.skip(f"axe-core is not here: python -m tests.browser.axe fetches {axe.VERSION} with npm")
    browser = browse(dark=dark)
    browser.open()
    browser.find("#key")
    found = {"sign in": violations(browser, script)}
    browser.sign_in()
    for view in VIEWS:
        browser.go(view)
        browser.find(READY[view])
        if view == "/site/depot":
            ask_for_advice(browser)
        found[view] = violations(browser, script)

    assert {view: problems for view, problems in found.items() if problems} == {}


def ask_for_advice(browser: Browser) -> None:
    """Have everything of the advice shown."""
    browser.run("document.querySelector('.advice button').click()")
    browser.find(".advice-chart svg .spare")
    browser.run("for (const one of document.querySelectorAll('.advice details')) one.open = true")


def violations(browser: Browser, script: str) -> list[str]:
    """What axe-core finds that is serious or critical."""
    browser.run(script)
    result = browser.driver.execute_async_script(
        "const done = arguments[0]; axe.run({resultTypes: ['violations']}).then((found) => done(found.violations))"
    )
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:160]} {one['nodes'][0].get('failureSummary', '')[:200]}"
        for one in result
        if one["impact"] in ("serious", "critical")
    ]
