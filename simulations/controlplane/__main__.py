"""`python -m simulations.controlplane`: build the programs if needed and say where they are."""

import sys

from simulations.controlplane import (
    ControlPlaneUnavailable,
    find_or_build,
    find_or_build_managers,
)


def main() -> int:
    """Exit code 1 and one line when there is no control plane to be had here."""
    try:
        binaries = find_or_build()
        find_or_build_managers()
    except ControlPlaneUnavailable as error:
        print(f"control plane unavailable: {error}", file=sys.stderr)
        return 1
    print(f"control plane: programs from {binaries.source}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
