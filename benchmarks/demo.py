"""One real day from scenario to report: every strategy side by side, and the optimal plan written and rechecked."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.cases import DEMO_FOLDER
from optimizer import OptimizeOptions, optimize
from optimizer.cli_output import print_comparison
from optimizer.comparison import compare_strategies
from optimizer.recheck import recheck
from optimizer.report import render_report
from optimizer.scenario_io import load_scenario, read_result, write_result


def main(arguments: list[str] | None = None) -> int:
    """Plan the JPL garage on 24 July 2019, print the comparison, and say where the report lies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/demo"), help="result folder")
    out: Path = parser.parse_args(arguments).out

    scenario = load_scenario(DEMO_FOLDER).scenario
    options = OptimizeOptions()
    print("JPL garage, 24 July 2019: 82 sessions at 52 chargers behind 195 kW of transformers, tariff SCE TOU-EV-4\n")
    print_comparison(list(compare_strategies(scenario, options)), scenario.site.currency)

    schedule = optimize(scenario, options)
    out.parent.mkdir(parents=True, exist_ok=True)
    report = render_report(schedule, scenario.site, title="JPL garage, 24 July 2019")
    write_result(out, schedule, scenario, options, report_html=report)
    recheck(scenario, read_result(out, scenario)).require()
    print(f"\nThe optimal plan is in {out}/, rechecked. Open {out}/report.html to see it.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
