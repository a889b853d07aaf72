"""`python -m simulations.bench [PART...]`; the exit code is 1 when a target is missed."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from collections.abc import Iterator, Mapping

from simulations.bench import Line

PARTS: Mapping[str, str] = {
    "plan": "how long a decision takes, and how good it is",
    "topology": "where 5,000 nodes stand, from all sources at once; one node that changes",
    "caches": "which models 5,000 nodes have; one node that changes; a decision by it",
    "control_plane": "gangs on a real control plane with 500 nodes",
    "extender_http": "the service with 5,000 nodes and 20,000 pods: filter over HTTPS, memory",
}
"""Modules of this package, in the order in which they run."""


def main() -> int:
    """Run the parts; print each line as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parts = parser.parse_args().parts or list(PARTS)
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}", flush=True)
    missed = 0
    for part in parts:
        print(f"\n{part}: {PARTS[part]}", flush=True)
        started = time.monotonic()
        for line in _lines(part):
            missed += line.passed is False
            print(line, flush=True)
        print(f"      ({time.monotonic() - started:.0f} s)", flush=True)
    print(f"\n{missed} targets missed" if missed else "\nall targets met")
    return 1 if missed else 0


def _lines(part: str) -> Iterator[Line]:
    lines: Iterator[Line] = importlib.import_module(f"simulations.bench.{part}").run()
    return lines


if __name__ == "__main__":
    sys.exit(main())
