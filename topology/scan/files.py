"""A host's files as the scanner sees them: behind one interface, so that a recorded tree replays.

Links are followed here, by hand and inside the root only: an absolute target starts at the root again, and
``..`` never leads above it. A reader of the real file system therefore opens paths that hold no link.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

MAX_TEXT = 4 * 2**20
"""Characters of a file that are read at most; the largest we need is the index of a sharded checkpoint."""

_MAX_LINKS = 40  # as Linux: path_resolution(7)
_ARROW = "-> "


class Files(Protocol):
    """Access below a root. Paths are absolute and none of their parents is a link; nothing raises."""

    def target(self, path: str) -> str | None:
        """Where the link at ``path`` points; None when it is none."""

    def read(self, path: str) -> str | None:
        """At most ``MAX_TEXT`` characters of a regular file; None when there is none to be read."""

    def names(self, path: str) -> tuple[str, ...]:
        """Entries of a directory, sorted; none when it is none or cannot be read."""

    def size(self, path: str) -> int | None:
        """Bytes of a regular file."""

    def space(self, path: str) -> tuple[int, int] | None:
        """Total and free bytes of the file system at ``path``."""

    def refused(self) -> tuple[str, ...]:
        """What exists and could not be read for lack of a right, so far; sorted."""


class Host:
    """The files of one host with links followed; remembers links for the time of one scan."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._targets: dict[str, str | None] = {}

    def real(self, path: str) -> str | None:
        """``path`` without links; None where they go round in circles."""
        here, todo, links = "", path.split("/")[::-1], 0
        while todo:
            part = todo.pop()
            if part in ("", "."):
                continue
            if part == "..":
                here = here.rpartition("/")[0]
                continue
            step = f"{here}/{part}"
            target = self._target(step)
            if target is None:
                here = step
                continue
            links += 1
            if links > _MAX_LINKS:
                return None
            if target.startswith("/"):
                here = ""
            todo += target.split("/")[::-1]
        return here or "/"

    def _target(self, path: str) -> str | None:
        if path not in self._targets:
            self._targets[path] = self._files.target(path)
        return self._targets[path]

    def text(self, path: str) -> str | None:
        """The content of a file without the white space around it; None when there is none."""
        found = self.raw(path)
        return None if found is None else found.strip()

    def raw(self, path: str) -> str | None:
        """The content of a file as it is."""
        real = self.real(path)
        return None if real is None else self._files.read(real)

    def number(self, path: str) -> int | None:
        """The whole number, decimal or ``0x``, that is all of a file."""
        return whole(self.text(path))

    def names(self, path: str) -> tuple[str, ...]:
        """Entries of a directory, sorted."""
        real = self.real(path)
        return () if real is None else self._files.names(real)

    def size(self, path: str) -> int | None:
        """Bytes of a file; None when it, or what its link points to, does not exist."""
        real = self.real(path)
        return None if real is None else self._files.size(real)

    def space(self, path: str) -> tuple[int, int] | None:
        """Total and free bytes of the file system that is mounted at ``path``."""
        real = self.real(path)
        return None if real is None else self._files.space(real)

    def refused(self) -> tuple[str, ...]:
        """Paths that exist and could not be read."""
        return self._files.refused()


class Recorded:
    """A tree from memory.

    ``tree`` maps paths to contents: text is a file, text that starts with ``-> `` a link, a number the size
    of a file whose content does not matter, a pair of numbers the total and free bytes of a mounted file
    system, and a mapping a directory of such values.
    """

    def __init__(self, tree: Mapping[str, Any], refused: tuple[str, ...] = ()) -> None:
        self._entries: dict[str, Any] = {}
        self._children: dict[str, set[str]] = {"": set()}
        self._refused = refused
        for path, value in _flat("", tree):
            self._put(path, value)

    def _put(self, path: str, value: Any) -> None:
        self._entries[path] = value
        if isinstance(value, (list, tuple)):
            self._children.setdefault(path, set())
        while path:
            parent, _, name = path.rpartition("/")
            self._children.setdefault(parent, set()).add(name)
            path = parent

    def target(self, path: str) -> str | None:
        """See ``Files``."""
        value = self._entries.get(path)
        if isinstance(value, str) and value.startswith(_ARROW):
            return value.removeprefix(_ARROW).strip()
        return None

    def read(self, path: str) -> str | None:
        """See ``Files``."""
        value = self._entries.get(path)
        return value[:MAX_TEXT] if isinstance(value, str) else None

    def names(self, path: str) -> tuple[str, ...]:
        """See ``Files``."""
        return tuple(sorted(self._children.get(path.rstrip("/"), ())))

    def size(self, path: str) -> int | None:
        """See ``Files``."""
        value = self._entries.get(path)
        if isinstance(value, str):
            return len(value.encode(errors="replace"))
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def space(self, path: str) -> tuple[int, int] | None:
        """See ``Files``."""
        value = self._entries.get(path.rstrip("/"))
        if isinstance(value, (list, tuple)) and [type(n) for n in value] == [int, int]:
            return value[0], value[1]
        return None

    def refused(self) -> tuple[str, ...]:
        """See ``Files``."""
        return tuple(sorted(self._refused))


def _flat(parent: str, tree: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        path = f"{parent}/{str(name).strip('/')}".rstrip("/")
        if isinstance(value, Mapping):
            yield from _flat(path, value)
        else:
            yield path, value


def whole(text: str | None) -> int | None:
    """The whole number that ``text`` is, decimal or ``0x``; None for anything else."""
    try:
        return None if text is None or len(text) > 20 else int(text, 0 if "x" in text else 10)
    except ValueError:
        return None
