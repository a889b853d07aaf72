"""What sources share that write our annotations on pods: filling, and roles for pods that have none."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from scheduler import keys
from scheduler.gangs.aliases import ALIASES
from scheduler.pods import Pod

Words = Mapping[str, tuple[str, str]]
"""Our annotation -> (the "object: field" that says it, its value)."""

_ASKED = (*sorted(ALIASES), keys.TOPOLOGY_REQUIRED, keys.TOPOLOGY_PREFERRED, keys.TOPOLOGY_SLICES)
"""Annotations on which the members of a role must agree."""
_MAX_ROLE = 60
_UNFIT = re.compile(r"[^-A-Za-z0-9_.]")
_INDEX = re.compile(r"-\d+$")


@dataclass(slots=True)
class Draft:
    """The pods of one gang on their way to ``annotated.read``, and where their words come from."""

    pods: list[Pod]
    origins: dict[str, str]

    def fill(self, words: Words) -> None:
        """Write words of the whole gang; a word that any member has already is left as it is."""
        for key, (origin, value) in words.items():
            if not any(key in pod.annotations for pod in self.pods):
                self.write(self.pods, key, origin, value)

    def write(self, chosen: Sequence[Pod], key: str, origin: str, value: str) -> None:
        """Write a word on those of the ``chosen`` members that lack it."""
        names = {pod.name for pod in chosen if key not in pod.annotations}
        if names and origin:
            self.origins[key] = origin
        self.pods = [
            replace(pod, annotations={**pod.annotations, key: value}) if pod.name in names else pod
            for pod in self.pods
        ]


def with_roles(pods: Sequence[Pod], named: Callable[[Pod], str] = lambda _: "") -> list[Pod]:
    """``pods`` with roles: their own, else as ``named``, else the default; one role for each kind of pod.

    Members of one role must be interchangeable. Where pods of one name are of several kinds, each kind
    is a role: named like its owner, or its pods without their numbers, where nobody names them.
    """
    kinds: list[tuple[str, list[Pod]]] = []
    for pod in pods:
        if keys.ROLE in pod.annotations:
            continue
        name = named(pod)
        kind = next((k for n, k in kinds if n == name and _alike(k[0], pod)), None)
        if kind is None:
            kinds.append((name, [pod]))
        else:
            kind.append(pod)
    taken = {pod.annotations[keys.ROLE].strip() for pod in pods if keys.ROLE in pod.annotations}
    role_of = {pod.name: role for role, kind in _names(kinds, taken) for pod in kind}
    return [
        replace(pod, annotations={**pod.annotations, keys.ROLE: role_of[pod.name]})
        if role_of.get(pod.name)
        else pod
        for pod in pods
    ]


def _alike(one: Pod, other: Pod) -> bool:
    return all(one.annotations.get(key) == other.annotations.get(key) for key in _ASKED) and (
        (one.request, one.constraints, one.namespace_selectors)
        == (other.request, other.constraints, other.namespace_selectors)
    )


def role_name(wish: str) -> str:
    """``wish`` as near as a role may be named like it."""
    return _UNFIT.sub("-", wish)[:_MAX_ROLE].strip("-_.") or "member"


def _names(
    kinds: Sequence[tuple[str, list[Pod]]], taken: set[str]
) -> Iterator[tuple[str, list[Pod]]]:
    """A role for each kind; the empty one (which is the default) where nobody names any and all are alike."""
    lone = sum(not name for name, _ in kinds) == 1
    for wish, kind in kinds:
        if not wish and lone:
            yield "", kind
            continue
        owner = kind[0].owner
        stem = wish or role_name(owner.name if owner else _INDEX.sub("", kind[0].name))
        name, count = stem, 1
        while name in taken:
            count += 1
            name = f"{stem[: _MAX_ROLE - len(str(count))]}-{count}"
        taken.add(name)
        yield name, kind
