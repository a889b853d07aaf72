"""What sources share that write our annotations on pods: filling, and roles for pods that have none."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from scheduler import keys
from scheduler.pods import Pod

Words = Mapping[str, tuple[str, str]]
"""Our annotation -> (the "object: field" that says it, its value)."""

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
    """``pods`` with roles: their own, else as ``named``, else one for all that are alike.

    Members of one role must be interchangeable. Where nobody names roles and the pods are of several
    kinds, each kind is a role with the name of its owner, or of its pods without their numbers.
    """
    given = [pod.annotations.get(keys.ROLE, "").strip() or named(pod) for pod in pods]
    kinds: list[list[Pod]] = []
    for pod, role in zip(pods, given, strict=True):
        if not role:
            kind = next((kind for kind in kinds if _alike(kind[0], pod)), None)
            if kind is None:
                kinds.append([pod])
            else:
                kind.append(pod)
    names = _names(kinds, set(given))
    role_of = {
        pod.name: name for kind, name in zip(kinds, names, strict=True) for pod in kind if name
    }
    return [
        _with_role(pod, role or role_of.get(pod.name, ""))
        for pod, role in zip(pods, given, strict=True)
    ]


def _alike(one: Pod, other: Pod) -> bool:
    return (one.request, one.constraints, one.namespace_selectors) == (
        other.request,
        other.constraints,
        other.namespace_selectors,
    )


def role_name(wish: str) -> str:
    """``wish`` as near as a role may be named like it."""
    return _UNFIT.sub("-", wish)[:_MAX_ROLE].strip("-_.") or "member"


def _names(kinds: Sequence[Sequence[Pod]], taken: set[str]) -> list[str]:
    """A name for each kind; the empty one (which is the default role) where there is only one kind."""
    if len(kinds) == 1:
        return [""]
    names: list[str] = []
    for kind in kinds:
        owner = kind[0].owner
        stem = role_name(owner.name if owner else _INDEX.sub("", kind[0].name))
        name, count = stem, 1
        while name in taken:
            count += 1
            name = f"{stem[: _MAX_ROLE - len(str(count))]}-{count}"
        taken.add(name)
        names.append(name)
    return names


def _with_role(pod: Pod, role: str) -> Pod:
    if not role or keys.ROLE in pod.annotations:
        return pod
    return replace(pod, annotations={**pod.annotations, keys.ROLE: role})
