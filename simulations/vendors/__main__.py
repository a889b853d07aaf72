"""``make vendors``: one group that names no vendor, on the cards of twelve vendors, one after the other.

A control plane with KWOK nodes comes up with Muster, its webhook and the real manager of LeaderWorkerSet.
Every vendor has two nodes as its plugins show them, among nodes whose units are not what they seem. A
LeaderWorkerSet whose groups need eight cards of 40 GiB for each of two pods grows by one group at a time, and
each takes the next flavor in order. Then another asks for such cards of anybody. What happened is read back
from the cluster and written into ``VENDORS.md``.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from simulations.controlplane import (
    ControlPlaneUnavailable,
    KubectlFailed,
    Workloads,
    find_or_build,
    temporary_cluster,
)
from simulations.local import LocalMuster, MusterDidNotStart
from simulations.stage import Narrator, hold
from simulations.vendors.run import Run
from simulations.vendors.table import PICTURE, TABLE, as_promised, document

_ROOT = Path(__file__).resolve().parents[2]
_INTERRUPTED, _TERMINATED = 130, 143


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it and write the table. 0: as promised; 1: another outcome, or no control plane."""
    parser = argparse.ArgumentParser(description="One group after the other on twelve vendors.")
    parser.add_argument("--keep", action="store_true", help="leave it running until Ctrl-C")
    keep = parser.parse_args(arguments).keep
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    with Narrator() as tell, ExitStack() as stack:
        try:
            muster, workloads = _start(stack, tell)
            outcome = Run(workloads=workloads, tell=tell)()
            print(document(outcome))
            (_ROOT / TABLE).write_text(document(outcome))
            (_ROOT / PICTURE).write_text(outcome.picture)
            if keep:
                tell.hush()
                hold(workloads.cluster, muster)
        except (ControlPlaneUnavailable, MusterDidNotStart, KubectlFailed, TimeoutError) as error:
            tell(f"this went wrong: {error}")
            return 1
        except KeyboardInterrupt:
            return _INTERRUPTED
    return 0 if as_promised(outcome) else 1


def _start(stack: ExitStack, tell: Narrator) -> tuple[LocalMuster, Workloads]:
    binaries = find_or_build(tell)
    tell(f"starting etcd, kube-apiserver, kube-scheduler, KWOK ({binaries.source})")
    cluster = stack.enter_context(temporary_cluster(binaries=binaries))
    tell("installing Muster with its webhook, and the manager of LeaderWorkerSet")
    muster = LocalMuster(cluster)
    muster.install()
    workloads = Workloads(cluster, tell)
    workloads.up()
    muster.install_webhook()
    stack.callback(muster.stop)
    muster.start()
    return muster, workloads


if __name__ == "__main__":
    sys.exit(main())
