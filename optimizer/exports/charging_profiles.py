"""Charging profiles of OCPP 1.6, OCPP 2.0.1 and OCPI 2.2.1.

Sources: OCPP 1.6 edition 2, section 7.13; OCPP 2.0.1 part 2, section 2.12; their JSON schemas; OCPI 2.2.1-d2, module
ChargingProfiles.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np

from models.domain.group import Charger, Site
from models.units import THREE_PHASES, kilowatts_to_amperes, kilowatts_to_watts
from optimizer.export_options import ProfileOptions, RateUnit
from optimizer.exports.periods import Period, periods_of
from optimizer.exports.planned_rows import PlannedRows

Json = dict[str, object]

TENTHS = 10
"""A limit has one decimal. Source: multipleOf 0.1 in OCPP 1.6, one digit fraction in OCPI."""
RELATIVE_NOISE = 1e-9
PROFILE_ID = 1
STACK_LEVEL = 0
OUTLET = 1
"""Each charger of a site is an outlet of its own: connector 1 in OCPP 1.6, EVSE 1 in 2.0.1."""


def ocpp16_profiles(rows: PlannedRows, site: Site, options: ProfileOptions) -> list[Json]:
    """A SetChargingProfile.req for each charger of a site.

    It is the default for transactions at the charger, absolute, and without end: after what is planned, and where
    nothing is, it is a stop.

    Args:
        rows: The plan.
        site: Chargers, their phases, and the voltage.
        options: Unit, and how many periods.

    Returns:
        JSON values with ``charger_id`` and ``request``, in the order of the site.
    """
    return _of_chargers(rows, site, options, _ocpp16)


def ocpp201_profiles(rows: PlannedRows, site: Site, options: ProfileOptions) -> list[Json]:
    """The same as a SetChargingProfileRequest of OCPP 2.0.1."""
    return _of_chargers(rows, site, options, _ocpp201)


def ocpi_profiles(rows: PlannedRows, site: Site, options: ProfileOptions) -> list[Json]:
    """A ChargingProfile for each session planned.

    Args:
        rows: The plan.
        site: Chargers, their phases, and the voltage.
        options: Unit, and how many periods.

    Returns:
        JSON values with ``session_id`` and ``charging_profile``, in the order of the plan.
    """
    begin_s = math.ceil(rows.begin_s)
    mine = _rows_by(list(rows.session_ids))
    found: list[Json] = []
    for session_id, charger_id in rows.sessions.items():
        charger = site.charger(charger_id)
        periods = _periods(rows, mine.get(session_id, []), begin_s, options)
        profile: Json = {
            "start_date_time": _utc(begin_s),
            "charging_rate_unit": options.unit.value,
            "charging_profile_period": [
                {"start_period": period.offset_s, "limit": _limit(period, charger, site, options)} for period in periods
            ],
        }
        found.append({"session_id": session_id, "charging_profile": profile})
    return found


def _of_chargers(
    rows: PlannedRows, site: Site, options: ProfileOptions, request: Callable[[int, list[Json], RateUnit], Json]
) -> list[Json]:
    begin_s = math.ceil(rows.begin_s)
    mine = _rows_by([rows.sessions[session_id] for session_id in rows.session_ids])
    found: list[Json] = []
    for charger in site.chargers:
        periods = _periods(rows, mine.get(charger.charger_id, []), begin_s, options)
        schedule = [_ocpp_period(period, charger, site, options) for period in periods]
        found.append({"charger_id": charger.charger_id, "request": request(begin_s, schedule, options.unit)})
    return found


def _ocpp16(begin_s: int, periods: list[Json], unit: RateUnit) -> Json:
    schedule = {"startSchedule": _utc(begin_s), "chargingRateUnit": unit.value, "chargingSchedulePeriod": periods}
    profile = {
        "chargingProfileId": PROFILE_ID,
        "stackLevel": STACK_LEVEL,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": schedule,
    }
    return {"connectorId": OUTLET, "csChargingProfiles": profile}


def _ocpp201(begin_s: int, periods: list[Json], unit: RateUnit) -> Json:
    schedule = {
        "id": PROFILE_ID,
        "startSchedule": _utc(begin_s),
        "chargingRateUnit": unit.value,
        "chargingSchedulePeriod": periods,
    }
    profile = {
        "id": PROFILE_ID,
        "stackLevel": STACK_LEVEL,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": [schedule],
    }
    return {"evseId": OUTLET, "chargingProfile": profile}


def _ocpp_period(period: Period, charger: Charger, site: Site, options: ProfileOptions) -> Json:
    written: Json = {"startPeriod": period.offset_s, "limit": _limit(period, charger, site, options)}
    if options.unit is RateUnit.A or charger.wiring is not None:
        written["numberPhases"] = _conductors(charger)
    return written


def _conductors(charger: Charger) -> int:
    """How many phases carry the current; three where nobody knows, which gives the lowest current on each."""
    wiring = charger.wiring
    if wiring is None:
        return THREE_PHASES
    return 1 if wiring.is_between_lines else len(wiring.lines)


def _amperes_per_kw(charger: Charger, site: Site) -> float:
    """Current of 1 kW on each of its conductors, A."""
    if charger.wiring is None:
        return kilowatts_to_amperes(1.0, voltage_v=site.nominal_voltage_v, conductors=THREE_PHASES)
    return max(map(abs, charger.wiring.currents_a_per_kw(site.nominal_voltage_v, charger.voltage_v)))


def _limit(period: Period, charger: Charger, site: Site, options: ProfileOptions) -> float:
    """The power in the unit of the profile, cut to tenths: rounded up it could break a limit of a group."""
    if options.unit is RateUnit.W:
        value = kilowatts_to_watts(period.power_kw)
    else:
        value = period.power_kw * _amperes_per_kw(charger, site)
    return math.floor(value * TENTHS * (1 + RELATIVE_NOISE)) / TENTHS


def _periods(rows: PlannedRows, mine: list[int], begin_s: int, options: ProfileOptions) -> list[Period]:
    index = np.array(mine, dtype=np.int64)
    return periods_of(
        rows.start_s[index],
        rows.until_s[index],
        rows.power_kw[index],
        begin_s=begin_s,
        max_periods=options.max_periods,
    )


def _rows_by(names: list[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        found.setdefault(name, []).append(row)
    return found


def _utc(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s, tz=UTC).isoformat().replace("+00:00", "Z")
