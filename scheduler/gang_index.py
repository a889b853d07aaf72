"""Which pods belong to which gang, and the gangs as they were last read. A part of ``ClusterState``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from scheduler.foreign import CLUSTER_SCOPED, ForeignObjects, Object
from scheduler.fork import Forkable
from scheduler.gangs import GANGS, GangSource, claim
from scheduler.gangs.annotated import DEFAULT_ROLE
from scheduler.gangs.context import Context
from scheduler.gangs.lws_group import concerns
from scheduler.keys import PLAN, ROLE
from scheduler.model import Code, Gang
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
        self._done: dict[str, dict[str, Pod]] = {}
        """Members that have succeeded and still exist, by gang and uid; also of gangs that are over."""
        self._done_in: dict[str, str] = {}
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
        self.forget(pod)
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

    def finish(self, pod: Pod) -> bool:
        """Take a pod that has succeeded; whether it is a member that was not known as done."""
        claimed = claim(pod, {}, self._schedulers)
        if claimed is None or pod.uid in self._done_in:
            return False
        key = f"{pod.namespace}/{claimed[1]}"
        self._done.setdefault(key, {})[pod.uid] = pod
        self._done_in[pod.uid] = key
        self._mark(key)
        return True

    def forget(self, pod: Pod) -> bool:
        """Take a pod that is gone; whether it was a member that had succeeded."""
        key = self._done_in.pop(pod.uid, None)
        if key is None:
            return False
        del self._done[key][pod.uid]
        if not self._done[key]:
            del self._done[key]
        self._mark(key)
        return True

    def looking_at(self, kind: str, namespace: str, obj: Object) -> list[Pod]:
        """The members whose source looks up foreign objects of this kind and namespace, perhaps this one."""
        return [
            pod
            for key, members in self._members.items()
            if kind in CLUSTER_SCOPED or key.startswith(f"{namespace}/")
            for source, pod in members.values()
            if kind in source.WATCHES and concerns(kind, obj, pod)
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
            gang = source.read(namespace, name, pods, context)
            if any(pod.scheduling_group for pod in pods):
                gang = replace(gang, gated_together=True)
            self._gangs[key] = _relieved(gang, _of_this_life(self._done.get(key, {}), pods))
        self._stale = set()
        self.sorted = tuple(
            sorted(self._gangs.values(), key=lambda gang: (gang.namespace, gang.name))
        )


def _of_this_life(done: Mapping[str, Pod], pods: Sequence[Pod]) -> list[Pod]:
    """Members that have succeeded beside ``pods``, and not in an earlier gang of the same name.

    They have an owner in common, or were placed by the same plan.
    """
    if not done:
        return []
    owners = {pod.owner.uid for pod in pods if pod.owner}
    plans = {pod.annotations[PLAN] for pod in pods if PLAN in pod.annotations}
    return [
        pod
        for pod in done.values()
        if (pod.owner and pod.owner.uid in owners) or pod.annotations.get(PLAN) in plans
    ]


def _relieved(gang: Gang, done: Sequence[Pod]) -> Gang:
    """The gang without need of the members that have succeeded.

    Its size stays; the minimum of a role, and that of the gang, is lower by each. One whose controller has
    made another pod in its stead is not missed, so it does not count.
    """
    if not done:
        return gang
    lone = len(gang.podsets) == 1
    roles = Counter(gang.podsets[0].role if lone else _role(pod) for pod in done)
    gaps = [min(roles[p.role], max(0, p.size - len(p.members))) for p in gang.podsets]
    podsets = tuple(
        # Nobody keeps the ratio of a gang that winds down.
        replace(podset, min_count=max(0, podset.min_count - gap), replica=None)
        for podset, gap in zip(gang.podsets, gaps, strict=True)
    )
    # The gang's minimum may be more than its PodSets have: members whose role is not known.
    unknown = max(0, gang.min_members - gang.size)
    fewer = sum(gaps) + min(unknown, len(done) - sum(gaps))
    least = max(gang.min_members - fewer, sum(podset.min_count for podset in podsets))
    members = [len(podset.members) for podset in podsets]
    complete = sum(members) >= least and all(
        count >= podset.min_count for count, podset in zip(members, podsets, strict=True)
    )
    waits = gang.blocked is not None and gang.blocked.code is Code.MEMBERS_MISSING
    blocked = None if waits and complete else gang.blocked
    return replace(gang, podsets=podsets, min_members=least, blocked=blocked)


def _role(pod: Pod) -> str:
    return pod.annotations.get(ROLE, "").strip() or DEFAULT_ROLE
