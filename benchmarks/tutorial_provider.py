"""A flexibility provider to try things out with: registers, says with which token to send, prints every OPTIMUM."""

from __future__ import annotations

import argparse
from contextlib import closing, suppress
from pathlib import Path

from benchmarks.flexibility_provider import FlexibilityProvider, Optimum

HOURS = 3600.0


def main() -> None:
    """Run until stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base_url", help="of the Capacity Optimizer, http://HOST:PORT/oscp/co/2.0")
    parser.add_argument("token", help="TOKEN_A, which the operator got for it")
    parser.add_argument("--token-file", type=Path, default=Path("token"), help="where to write the token to send with")
    arguments = parser.parse_args()
    with closing(FlexibilityProvider()) as provider, suppress(KeyboardInterrupt):
        provider.register(arguments.base_url, arguments.token)
        arguments.token_file.write_text(provider.token)
        print(f"registered as {provider.url}; send with the token in {arguments.token_file}", flush=True)
        shown: list[Optimum] = []
        while True:
            provider.wait_until(lambda: len(provider.optima) > len(shown), "OPTIMUM", timeout_s=24 * HOURS)
            for optimum in provider.optima[len(shown) :]:
                print(_described(optimum), flush=True)
                shown.append(optimum)


def _described(optimum: Optimum) -> str:
    lines = [f"OPTIMUM for group {optimum.group_id}, in answer to {optimum.correlation_id or 'nothing'}"]
    lines += [
        f"  {block['start_time']} to {block['end_time']}  {block['capacity']:g} {block['unit']}"
        for block in optimum.blocks
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
