"""What the demo and the journey share: a narrator, tables, and staying for a look around."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Self

from simulations.controlplane import Cluster
from simulations.local import LocalMuster

_SILENCE_SECONDS = 8.0


class Narrator:
    """Tells what happens, with seconds since the start; never silent for longer than 8 s."""

    def __init__(self) -> None:
        self._start = self._told = time.monotonic()
        self._last = "starting"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_talking, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def __call__(self, text: str) -> None:
        """Say ``text`` now, and again while nothing else happens."""
        self._last = text
        self._print(text)

    def hush(self) -> None:
        """Nothing more will happen."""
        self._ended.set()

    def _print(self, text: str) -> None:
        self._told = time.monotonic()
        print(f"[{self._told - self._start:3.0f} s] {text}", flush=True)

    def _keep_talking(self) -> None:
        while not self._ended.wait(0.5):
            if time.monotonic() - self._told > _SILENCE_SECONDS:
                self._print(f"still: {self._last}")


def hold(cluster: Cluster, muster: LocalMuster) -> None:
    """Say how to reach everything, and wait for Ctrl-C."""
    assert cluster.binaries is not None
    programs = (cluster.binaries.paths["kubectl"].parent, Path(sys.executable).parent)
    print(f"export KUBECONFIG={cluster.kubeconfig}")
    print(f"export PATH={':'.join(map(str, programs))}:$PATH")
    print(f"export URL={muster.url} GRPC=127.0.0.1:{muster.grpc_port} CA={muster.ca}")
    print("It runs until Ctrl-C.", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()


def workload(name: str) -> Path:
    """A file of ``simulations/workloads``."""
    return Path(str(resources.files("simulations") / "workloads" / name))


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
