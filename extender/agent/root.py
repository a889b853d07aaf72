"""The real file system below a root directory, and texts laid over it. Reads only, with limits."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from topology.scan.files import MAX_TEXT, Files

_MAX_NAMES = 10_000
_PIECE = 65_536


class Root:
    """``Files`` below a directory. Links are never followed by the system: ``Host`` resolves them inside."""

    def __init__(self, root: Path) -> None:
        self._root = str(root).rstrip("/")
        self._refused: set[str] = set()

    def target(self, path: str) -> str | None:
        """See ``Files``."""
        try:
            return str(Path(self._root + path).readlink())
        except (OSError, ValueError):
            return None

    def read(self, path: str) -> str | None:
        """See ``Files``."""
        try:
            # A named pipe must not hold us up, nor a link lead us elsewhere.
            number = os.open(self._root + path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                regular = stat.S_ISREG(os.fstat(number).st_mode)
                return _content(number).decode(errors="replace") if regular else None
            finally:
                os.close(number)
        except PermissionError:
            self._refused.add(path)
        except (OSError, ValueError):  # an attribute that the driver does not answer now
            pass
        return None

    def names(self, path: str) -> tuple[str, ...]:
        """See ``Files``."""
        try:
            names = (entry.name for entry in Path(self._root + path).iterdir())
            return tuple(sorted(names)[:_MAX_NAMES])
        except PermissionError:
            self._refused.add(path)
        except (OSError, ValueError):
            pass
        return ()

    def size(self, path: str) -> int | None:
        """See ``Files``."""
        try:
            found = os.lstat(self._root + path)
        except (OSError, ValueError):
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def space(self, path: str) -> tuple[int, int] | None:
        """See ``Files``; None for a file system of the host that is not mounted below our root."""
        if self._root and not os.path.ismount(self._root + path):
            return None
        try:
            found = os.statvfs(self._root + path)
        except (OSError, ValueError):
            return None
        return found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize

    def refused(self) -> tuple[str, ...]:
        """See ``Files``."""
        return tuple(sorted(self._refused))


def _content(number: int) -> bytes:
    """At most ``MAX_TEXT`` bytes, in pieces: files below /proc/sys refuse to fill a large buffer."""
    parts: list[bytes] = []
    left = MAX_TEXT
    while left and (part := os.read(number, min(left, _PIECE))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


class Overlay:
    """``files`` with some texts in them."""

    def __init__(self, files: Files, texts: Mapping[str, str]) -> None:
        self._files = files
        self._texts = texts

    def target(self, path: str) -> str | None:
        """See ``Files``."""
        return None if path in self._texts else self._files.target(path)

    def read(self, path: str) -> str | None:
        """See ``Files``."""
        return self._texts[path] if path in self._texts else self._files.read(path)

    def names(self, path: str) -> tuple[str, ...]:
        """See ``Files``; texts are not listed."""
        return self._files.names(path)

    def size(self, path: str) -> int | None:
        """See ``Files``."""
        return self._files.size(path)

    def space(self, path: str) -> tuple[int, int] | None:
        """See ``Files``."""
        return self._files.space(path)

    def refused(self) -> tuple[str, ...]:
        """See ``Files``."""
        return self._files.refused()
