"""Plain processes with a pid file and a log file; they outlive the command that started them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

_KILL_AFTER_SECONDS = 10.0


def free_ports(count: int) -> tuple[int, ...]:
    """`count` different loopback ports that were free a moment ago."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return tuple(item.getsockname()[1] for item in sockets)


@dataclass(slots=True, kw_only=True)
class Process:
    """One component of a cluster: `<folder>/pids/<name>` and `<folder>/logs/<name>.log`."""

    name: str
    folder: Path
    _child: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def log(self) -> Path:
        """Output of every start, appended."""
        return self.folder / "logs" / f"{self.name}.log"

    @property
    def pid(self) -> int | None:
        """Process id if it runs, also when another command started it; None if stopped or stale."""
        if self._child is not None and self._child.poll() is not None:
            self._child = None  # reaped
        try:
            pid, started = self._pid_file.read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        return int(pid) if start_mark(int(pid)) == started else None

    def start(self, argv: Sequence[str]) -> None:
        """Start in a session of its own so that Ctrl-C of the caller does not reach it."""
        if self.pid is not None:
            return
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._pid_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                start_new_session=True,
                env=_environment(),
            )
        self._pid_file.write_text(f"{self._child.pid} {start_mark(self._child.pid)}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal if it runs."""
        pid = self.pid
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def wait_stopped(self) -> None:
        """Wait until it is gone; kill it after 10 s."""
        deadline = time.monotonic() + _KILL_AFTER_SECONDS
        while self.pid is not None:
            if time.monotonic() > deadline:
                self.signal(signal.SIGKILL)
            time.sleep(0.01)
        if self._child is not None:
            self._child.wait()  # reap it
            self._child = None
        self._pid_file.unlink(missing_ok=True)

    def tail(self, lines: int = 5) -> str:
        """Last lines of the log, for error messages."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    @property
    def _pid_file(self) -> Path:
        return self.folder / "pids" / self.name


def _environment() -> dict[str, str]:
    """Loopback traffic must not go through a proxy."""
    dropped = {"http_proxy", "https_proxy", "all_proxy"}
    return {key: value for key, value in os.environ.items() if key.lower() not in dropped}


def start_mark(pid: int) -> str | None:
    """Start time of a live process: tells it from a later one with the same id; None if gone."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] in "ZX" else fields[19]
    shown = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split()
    return None if not shown or shown[0].startswith("Z") else "-".join(shown[1:])
