"""What verification finds of currents."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from models.domain.group import CapacityGroup, LineLimit
from models.domain.schedule import ScheduleStatus
from models.errors import VerificationError
from optimizer import verify
from optimizer.options import LimitMode, SolverOptions
from tests.optimizer.currents.lines import KW_PER_A_BETWEEN, hungry, planned, worst_excess_a


class TestVerification:
    """A plan that breaks a line is refused."""

    def test_a_line_exceeded(self) -> None:
        """Made without the limit, checked with it: the message names line, current, limit and time."""
        free = hungry(["L1-L2", "L3-L1"], None, max_a=20.0)
        group = CapacityGroup(group_id="main", current_limit_a=(32.0, 1000.0, 1000.0))
        limited = replace(free, site=replace(free.site, groups=(group,)))
        schedule = planned(free)

        with pytest.raises(VerificationError, match=r"line 'main L1': 34\.641016 A .* 32\.000000 A") as caught:
            verify(limited, schedule, limit_mode=LimitMode.MEAN)
        assert len(caught.value.violations) == 1

    def test_currents_that_cancel(self) -> None:
        """20 A on each phase leave the neutral without current; if one vehicle stops it carries 20 A."""
        free = hungry(["L1-N", "L2-N", "L3-N"], None, max_a=20.0 / math.sqrt(3))
        neutral = LineLimit(line_limit_id="N", group_id="main", limit_a=10.0, weights=(1.0, 1.0, 1.0))
        limited = replace(free, site=replace(free.site, line_limits=(neutral,)))

        with pytest.raises(VerificationError, match=r"line 'N': 20\.000000 A"):
            verify(limited, planned(free), limit_mode=LimitMode.MEAN)

    def test_the_previous_plan_is_cut_to_fit(self) -> None:
        """As a stand-in without a solver the plan in force is scaled to the line, never beyond it."""
        free = hungry(["L1-L2", "L3-L1"], None, max_a=20.0)
        group = CapacityGroup(group_id="main", current_limit_a=(32.0, 1000.0, 1000.0))
        limited = replace(free, site=replace(free.site, groups=(group,)), previous=planned(free))

        stopped = planned(limited, solver=SolverOptions(time_limit_s=0.0))

        assert stopped.status is ScheduleStatus.FALLBACK
        assert worst_excess_a(limited, stopped) <= 1e-5
        assert stopped.delivered_energy_kwh == pytest.approx(2 * 32 / math.sqrt(3) * KW_PER_A_BETWEEN, rel=1e-2)
