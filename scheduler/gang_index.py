"""Which pods belong to which gang, and the gangs as they were last read. A part of ``ClusterState``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from scheduler.foreign import CLUSTER_SCOPED, ForeignObjects
from scheduler.fork import Forkable
from scheduler.gangs import GANGS, GangSource, claim
from scheduler.gangs.context import Context
from scheduler.model import Gang
from scheduler.pods import Pod


class GangIndex(Forkable):
    """Pods in, gangs out; only gangs whose pods changed are read again."""

    def __init__(self, schedulers: Collection[str] = ()) -> None:
        self._schedulers = schedulers
        self.sorted: tuple[Gang, ...] = ()
        """In the order of namespace and name, as of the last ``read``."""
        self._gangs: dict[str, Gang] = {}
        self._members: dict[str, dict[str, tuple[GangSource, Pod]]] = {}
        self._key_of: dict[str, str] = {}
        self._asked: Counter[str] = Counter()
        self._asked_by: dict[str, tuple[str, ...]] = {}
        """Levels by pod uid, as they were asked for when the pod was added."""
        self._stale: set[str] | None = set()
        """Keys to read again; None means all."""

    @property
    def stale(self) -> bool:
        """Whether ``read`` has something to do."""
        return self._stale is None or bool(self._stale)

    @property
    def asked(self) -> frozenset[str]:
        """Level names and label keys that members ask for."""
        return frozenset(self._asked)

    def key_of(self, uid: str) -> str | None:
        """``namespace/name`` of the gang of a pod; None for a plain pod."""
        return self._key_of.get(uid)

    def gang(self, key: str) -> Gang | None:
        """A gang as of the last ``read``."""
        return self._gangs.get(key)

    def add(
        self, pod: Pod, namespaces: Mapping[str, Mapping[str, str]], objects: ForeignObjects
    ) -> Iterable[str]:
        """Take a pod that is not there yet; gives the levels that nobody asked for before."""
        claimed = claim(pod, namespaces, self._schedulers)
        if claimed is None:
            return ()
        source, name = claimed
        key = f"{pod.namespace}/{name}"
        self._key_of[pod.uid] = key
        asked = source.levels(pod, objects)
        self._members.setdefault(key, {})[pod.uid] = (source, pod)
        self._asked_by[pod.uid] = asked
        self._mark(key)
        fresh = [level for level in asked if level not in self._asked]
        self._asked.update(asked)
        return fresh

    def drop(self, pod: Pod) -> Iterable[str]:
        """Forget a pod; gives the levels that nobody asks for any more."""
        key = self._key_of.pop(pod.uid, None)
        if key is None:
            return ()
        del self._members[key][pod.uid]
        if not self._members[key]:
            del self._members[key]
        self._mark(key)
        asked = self._asked_by.pop(pod.uid)
        self._asked.subtract(asked)
        gone = [level for level in set(asked) if not self._asked[level]]
        for level in gone:
            del self._asked[level]
        return gone

    def looking_at(self, kind: str, namespace: str) -> list[Pod]:
        """The members whose source looks up foreign objects of this kind and namespace."""
        return [
            pod
            for key, members in self._members.items()
            if kind in CLUSTER_SCOPED or key.startswith(f"{namespace}/")
            for source, pod in members.values()
            if kind in source.WATCHES
        ]

    def imagined(self, pod: Pod, context: Context) -> Gang | None:
        """The gang that a pod would belong to, with the members it has and that pod; None for a plain pod."""
        claimed = claim(pod, context.namespaces, self._schedulers)
        if claimed is None:
            return None
        source, name = claimed
        members = self._members.get(f"{pod.namespace}/{name}", {}).values()
        pods = [p for _, p in members if not p.terminating and p.name != pod.name]
        source = min((source, *(s for s, _ in members)), key=GANGS.index)
        return source.read(pod.namespace, name, [*pods, pod], context)

    def mark_all(self) -> None:
        """Something that every gang may refer to has changed."""
        self._stale = None

    def _mark(self, key: str) -> None:
        if self._stale is not None:
            self._stale.add(key)

    def read(self, context: Context) -> None:
        """Read the gangs that may have changed."""
        if self._stale is None:
            self._gangs.clear()
        for key in self._members if self._stale is None else self._stale:
            members = self._members.get(key, {}).values()
            pods = [pod for _, pod in members if not pod.terminating]
            if not pods:
                self._gangs.pop(key, None)
                continue
            # Where sources share the pods of one gang, the first of them has the say.
            source = min((source for source, _ in members), key=GANGS.index)
            namespace, _, name = key.partition("/")
            self._gangs[key] = source.read(namespace, name, pods, context)
        self._stale = set()
        self.sorted = tuple(
            sorted(self._gangs.values(), key=lambda gang: (gang.namespace, gang.name))
        )
