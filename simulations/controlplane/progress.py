"""Long commands with a sign of life: a line at once, then one every five seconds."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

EVERY_SECONDS = 5.0
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Exit code and the last line that the command printed, for a one-line error."""

    code: int
    last_line: str


class _Counter:
    """Reads a pipe to its end so that the command never blocks."""

    def __init__(self) -> None:
        self.downloads = 0
        self.packages = 0
        self.last_line = ""

    def read(self, stream: Iterable[str]) -> None:
        for line in stream:
            text = line.strip()
            if not text:
                continue
            self.last_line = text
            if "ownloading" in text:
                self.downloads += 1
            elif " " not in text:  # `go build -v` prints one import path per line
                self.packages += 1


def report_while_running(
    command: Sequence[str],
    progress: Callable[[str], None],
    what: str,
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Outcome:
    """Run `command`; `progress` hears at once and then every five seconds how far it is."""
    started = time.monotonic()
    counter = _Counter()
    progress(what)
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        reader = threading.Thread(target=counter.read, args=(process.stdout,), daemon=True)
        reader.start()
        told = started
        while process.poll() is None:
            time.sleep(_POLL_SECONDS)
            now = time.monotonic()
            if now - told >= EVERY_SECONDS:
                told = now
                progress(f"{what}: {_elapsed(now - started)}, {_counts(counter)}")
        reader.join()
    ended = "done" if process.returncode == 0 else f"failed with exit code {process.returncode}"
    progress(f"{what}: {ended} after {_elapsed(time.monotonic() - started)}")
    return Outcome(code=process.returncode, last_line=counter.last_line)


def _elapsed(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _counts(counter: _Counter) -> str:
    if counter.packages == 0:
        return f"{counter.downloads} downloads"
    return f"{counter.packages} packages compiled"
