"""Examples of bodies and answers in the OpenAPI document: one depot on one morning throughout."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from optimizer.scenario_io.documents import MAX_ROWS

AT_LEAST_ONE: Any = Field(min_length=1, max_length=MAX_ROWS)

PEER_ID = "0b6d1f3e-6a0e-4b8e-9d0c-1f5a3c2b7e90"
BASE_URL = "https://optimizer.example/oscp/co/2.0"
INVITATION = {"name": "Depot North", "profile": "standard"}
REGISTRATION = {
    "name": "Depot South",
    "profile": "solarnetwork",
    "base_url": "https://fp.example/oscp/fp/2.0",
    "token": "4f9a1c-issued-by-the-peer",
    "time_zone": "Pacific/Auckland",
    "overrides": {"optimum_delivery": "adjust"},
}
ISSUED = {"peer_id": PEER_ID, "base_url": BASE_URL, "token": "shown-once-43-characters-of-base64url"}
PEER: dict[str, Any] = {
    "peer_id": PEER_ID,
    "name": "Depot North",
    "profile": "standard",
    "overrides": {},
    "time_zone": None,
    "state": "registered",
    "base_url": "https://fp.example/oscp/fp/2.0",
    "created_at": "2026-03-02T08:00:00Z",
    "registered_at": "2026-03-02T08:05:00Z",
    "handshake_at": "2026-03-02T08:05:02Z",
    "heartbeat_interval_s": 60,
    "next_heartbeat_at": "2026-03-02T09:00:02Z",
    "last_heard_at": "2026-03-02T08:59:30Z",
    "offline_at": "2026-03-02T09:01:30Z",
    "offline": False,
    "last_error": "",
}
SENT = {
    "kind": "optimum",
    "group_id": "main",
    "state": "delivered",
    "created_at": "2026-03-02T08:59:00Z",
    "attempts": 1,
    "next_attempt_at": "2026-03-02T08:59:00Z",
    "finished_at": "2026-03-02T08:59:01Z",
    "last_error": "",
}
PEER_DETAILS = {**PEER, "outbox": [SENT]}

SITE: dict[str, Any] = {
    "schema": 1,
    "site_id": "depot",
    "time_zone": "Europe/Amsterdam",
    "currency": "EUR",
    "nominal_voltage_v": 230.0,
    "groups": [{"group_id": "main", "parent_id": None, "import_limit_kw": 20.0, "export_limit_kw": None}],
    "chargers": [
        {"charger_id": "C1", "group_id": "main", "max_power_kw": 22.0, "phases": "ALL"},
        {"charger_id": "C2", "group_id": "main", "max_power_kw": 11.0, "phases": "ALL"},
    ],
}
SITE_INPUT = {**SITE, "peer_id": PEER_ID}
SITE_STATUS = {
    "site_id": "depot",
    "peer_id": PEER_ID,
    "version": 7,
    "attended_version": 7,
    "planned_version": 7,
    "updated_at": "2026-03-02T08:59:00Z",
    "due_at": "2026-03-02T09:15:00Z",
    "last_error": "",
}
SITE_VIEW = {**SITE, **SITE_STATUS, "notes": []}
SESSION: dict[str, Any] = {
    "session_id": "S1",
    "charger_id": "C1",
    "arrival": "2026-03-02T09:00:00+01:00",
    "departure": "2026-03-02T11:00:00+01:00",
    "energy_kwh": 10.0,
    "max_power_kw": 22.0,
    "priority": 1.0,
    "priority_class": 0,
}
SESSIONS = [
    SESSION,
    {
        "session_id": "S2",
        "charger_id": "C2",
        "arrival": "2026-03-02T09:30:00+01:00",
        "departure": "2026-03-02T17:00:00+01:00",
        "energy_kwh": 30.0,
    },
]
SESSION_VIEW = {
    **SESSION,
    "arrival": "2026-03-02T08:00:00Z",
    "departure": "2026-03-02T10:00:00Z",
    "stated_at": "2026-03-02T07:58:00Z",
}
STORED = {"version": 7, "stored": 2, "notes": []}
PRICES = [
    {"start": "2026-03-02T08:00:00Z", "end": "2026-03-02T09:00:00Z", "import_price_per_kwh": 0.20},
    {"start": "2026-03-02T09:00:00Z", "end": "2026-03-02T10:00:00Z", "import_price_per_kwh": 0.30},
]
FORECAST = {
    "group_id": "main",
    "type": "CONSUMPTION",
    "forecasted_blocks": [
        {
            "capacity": 15.0,
            "phase": "ALL",
            "unit": "KW",
            "start_time": "2026-03-02T08:00:00.000Z",
            "end_time": "2026-03-02T10:00:00.000Z",
        }
    ],
}
SERIES = {
    "group_id": "main",
    "type": "CONSUMPTION",
    "phase": "ALL",
    "blocks": [{"start": "2026-03-02T08:00:00Z", "end": "2026-03-02T10:00:00Z", "capacity_kw": 15.0}],
}
PLAN: dict[str, Any] = {
    "schema": 1,
    "status": "optimal",
    "strategy": "optimal",
    "objective": "cost",
    "limits": "mean",
    "fairness": "total",
    "site_id": "depot",
    "currency": "EUR",
    "start": "2026-03-02T09:00:00+01:00",
    "end": "2026-03-02T11:00:00+01:00",
    "sessions": 1,
    "sessions_outside_window": 0,
    "steps": 2,
    "requested_energy_kwh": 10.0,
    "delivered_energy_kwh": 10.0,
    "unmet_energy_kwh": 0.0,
    "unreachable_energy_kwh": 0.0,
    "energy_cost": 2.0,
    "peak_import_kw": 10.0,
    "lowest_share": 1.0,
    "jain_index": 1.0,
    "minutes_over_limit": 0.0,
    "limit_violations": [],
    "stages": [{"name": "unmet_energy", "value": 0.0, "proved": True}],
    "notes": [],
    "seconds": {"total": 0.02},
    "versions": {"highspy": "1.15.1"},
    "schedule": [
        {
            "session_id": "S1",
            "charger_id": "C1",
            "start": "2026-03-02T09:00:00+01:00",
            "end": "2026-03-02T10:00:00+01:00",
            "power_kw": 10.0,
        }
    ],
    "session_results": [
        {
            "session_id": "S1",
            "charger_id": "C1",
            "arrival": "2026-03-02T09:00:00+01:00",
            "departure": "2026-03-02T11:00:00+01:00",
            "priority": 1.0,
            "priority_class": 0,
            "requested_energy_kwh": 10.0,
            "delivered_energy_kwh": 10.0,
            "unmet_energy_kwh": 0.0,
            "unreachable_energy_kwh": 0.0,
            "share": 1.0,
            "reason": "",
            "reason_codes": "",
        }
    ],
    "group_results": [
        {
            "group_id": "main",
            "start": "2026-03-02T09:00:00+01:00",
            "end": "2026-03-02T10:00:00+01:00",
            "power_kw": 10.0,
            "limit_kw": 15.0,
            "price_per_kwh": 0.20,
            "shadow_price_per_kwh": 0.0,
        }
    ],
    "why": None,
}
PLAN_VIEW = {
    **PLAN,
    "plan_id": "b8c2a0de-51d4-4a46-8f05-2a3b5c0d9e17",
    "version": 7,
    "made_at": "2026-03-02T08:00:00Z",
}
ADVICE = {
    "schema": 1,
    "site_id": "depot",
    "currency": "EUR",
    "asked_value": 49.0,
    "blocks": [
        {
            "group_id": "main",
            "start": "2026-03-02T08:00:00Z",
            "end": "2026-03-02T10:00:00Z",
            "limit_kw": 15.0,
            "planned_kw": 15.0,
            "hand_back_kw": 0.0,
            "asked_kw": 2.5,
            "value_per_kwh": 9.8,
            "more": [{"up_to_kw": 2.5, "value_per_kwh": 9.8}, {"up_to_kw": 5.0, "value_per_kwh": 0.1}],
        }
    ],
    "version": 7,
    "made_at": "2026-03-02T08:00:00Z",
    "messages": [
        {
            "group_id": "main",
            "type": "CONSUMPTION",
            "forecasted_blocks": [
                {
                    "capacity": 17.5,
                    "phase": "ALL",
                    "unit": "KW",
                    "start_time": "2026-03-02T08:00:00.000Z",
                    "end_time": "2026-03-02T10:00:00.000Z",
                }
            ],
        }
    ],
}
SCHEDULE_CSV = (
    "session_id,charger_id,start,end,power_kw\n"
    "S1,C1,2026-03-02T09:00:00+01:00,2026-03-02T10:00:00+01:00,10.0\n"
)  # fmt: skip
OPTIMIZE = {
    "site": SITE,
    "sessions": [SESSION],
    "prices": PRICES,
    "forecasts": [FORECAST],
    "options": {"step_minutes": 60, "objective": "cost"},
}
