"""Dockerfile, compose.yaml, Prometheus and Grafana: nothing in them names what does not exist."""

from __future__ import annotations

import configparser
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.metrics import Metrics, StoredFigures
from api.records import PlanFigures
from api.settings import Settings
from tests.builders import MORNING

ROOT = Path(__file__).parents[2]
DEPLOYMENT = ROOT / "docs" / "deployment"
DASHBOARD = DEPLOYMENT / "grafana" / "dashboards" / "capacity-optimizer.json"
OWN_METRIC = re.compile(r"\boscp_[a-z_]+")
SETTING = re.compile(r"\bOSCP_[A-Z_]+")
BY_LABELS = re.compile(r"\bby \(([^)]*)\)")
FROM_COMPOSE = {"OSCP_DOMAIN"}
"""What compose.yaml itself takes from its environment."""
PROMETHEUS_LABELS = {"le", "job", "instance"}


def exposed() -> tuple[set[str], set[str]]:
    """Names of samples and labels that /metrics can tell."""
    metrics = Metrics()
    for counted in (metrics.requests, metrics.request_seconds, metrics.messages, metrics.plans, metrics.deliveries):
        counted.labels(*["x"] * len(counted._labelnames))
    plan = PlanFigures(site_id="x", made_at=MORNING, status="x", unmet_kwh=0, gap=0, limit_margin_kw=0)
    stored = StoredFigures(outbox_age_s=0, outbox_pending=0, unattended_age_s=0, peers={"x": 1}, plans=(plan,))
    samples = [line for line in metrics.exposition(stored).decode().splitlines() if not line.startswith("#")]
    names = {re.split(r"[{ ]", line)[0] for line in samples}
    return names, {label for line in samples for label in re.findall(r'[{,]([a-z_]+)="', line)}


def queries() -> Iterator[str]:
    """Every query of the dashboard and the alerts."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]
    alerts: Any = yaml.safe_load((DEPLOYMENT / "prometheus" / "alerts.yml").read_text())
    for group in alerts["groups"]:
        for rule in group["rules"]:
            yield rule["expr"]


def compose() -> dict[str, Any]:
    """compose.yaml."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return found


@pytest.mark.parametrize("query", list(queries()))
def test_a_query_asks_for_what_is_told(query: str) -> None:
    """Each name of ours is one of a sample, and each label that is kept is one that samples have."""
    names, labels = exposed()

    assert set(OWN_METRIC.findall(query)) <= names
    kept = {label.strip() for group in BY_LABELS.findall(query) for label in group.split(",")}
    assert kept <= labels | PROMETHEUS_LABELS


def test_everything_told_is_shown() -> None:
    """No metric is on no panel and in no alert; of a histogram one of its series is enough."""
    names, _ = exposed()
    shown = set(OWN_METRIC.findall(" ".join(queries())))

    base = {re.sub(r"_(bucket|count|sum)$", "", name) for name in names if not name.endswith("_created")}
    assert base == {re.sub(r"_bucket$", "", name) for name in shown}


def test_panels_do_not_overlap() -> None:
    """The dashboard's grid is 24 wide, and no cell of it is taken twice."""
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("path", ["compose.yaml", "Dockerfile", "docs/deployment/oscp-serve.service"])
def test_a_setting_that_is_made_exists(path: str) -> None:
    """A misspelt variable would be ignored in silence."""
    known = {f"OSCP_{name.upper()}" for name in Settings.model_fields}

    assert set(SETTING.findall((ROOT / path).read_text())) <= known | FROM_COMPOSE


def test_files_that_are_mounted_exist() -> None:
    """A path that is not there would be made as an empty folder."""
    mounts = [
        mount.split(":")[0]
        for service in compose()["services"].values()
        for mount in service.get("volumes", ())
        if mount.startswith("./")
    ]

    assert mounts
    assert [mount for mount in mounts if not (ROOT / mount).exists()] == []


def test_names_in_the_proxy_and_prometheus_are_services() -> None:
    """What is called by name is a service of compose.yaml, at the port that the image serves."""
    texts = [(DEPLOYMENT / "Caddyfile").read_text(), (DEPLOYMENT / "prometheus" / "prometheus.yml").read_text()]
    called = {name for text in texts for name in re.findall(r"\b(server-\d+):8000", text)}

    assert called == {name for name in compose()["services"] if name.startswith("server")}
    assert "EXPOSE 8000" in (ROOT / "Dockerfile").read_text()


def test_compose_follows_its_specification() -> None:
    """As the published JSON schema has it."""
    checker, schema = str(Path(sys.executable).with_name("check-jsonschema")), "vendor.compose-spec"
    done = subprocess.run(
        [checker, "--builtin-schema", schema, str(ROOT / "compose.yaml")], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout


def test_hadolint_finds_nothing() -> None:
    """The Dockerfile as its linter wants it."""
    done = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (0, "")


def test_the_unit_is_hardened() -> None:
    """No user of its own to manage, no capability, nothing to write but its state."""
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DEPLOYMENT / "oscp-serve.service")
    service = unit["Service"]

    assert service["ExecStart"].endswith("/oscp-serve")
    expected = {"DynamicUser": "yes", "ProtectSystem": "strict", "CapabilityBoundingSet": "", "NoNewPrivileges": "yes"}
    assert {name: service[name] for name in expected} == expected
