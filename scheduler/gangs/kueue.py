"""Pods with topology annotations of Kueue: those of one Job, JobSet, pod group or other owner are a gang.

What the annotations ask for is read for every source (``aliases``); here is what belongs together. The gang
has as many members as its pod group says, else as exist: give ``muster.dev/gang-size`` where all must start
together, since a Job makes its pods one by one. Replicas of a ReplicaSet are gangs of one, as for Kueue.
Roles are the PodSets of Kueue or the replicated jobs of the JobSet. Once a member runs, those that do not
exist are not waited for: they have finished, or their owner makes them again.

Kueue holds the pods of a workload with gates of its own, which are respected. Those that it has pinned to a
host are gangs of one: their places are decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from scheduler import keys
from scheduler.foreign import ForeignObjects
from scheduler.gangs import annotated
from scheduler.gangs.aliases import TOPOLOGY
from scheduler.gangs.context import Context
from scheduler.gangs.translate import Draft, role_name, with_roles
from scheduler.model import Gang
from scheduler.pods import Pod
from topology import keys as foreign

NAME = "kueue"
WATCHES: tuple[str, ...] = ()


def claim(pod: Pod) -> str | None:
    """What the pod belongs to, by the first of: pod group, JobSet, admitted workload, owner; or itself."""
    if TOPOLOGY.isdisjoint(pod.annotations):
        return None
    if foreign.HOSTNAME in pod.constraints.node_selector:
        return pod.name
    together = pod.labels.get(foreign.KUEUE_POD_GROUP) or pod.labels.get(foreign.JOBSET_NAME)
    if together or pod.owner is None or pod.owner.kind == "ReplicaSet":
        return together or pod.name
    return pod.annotations.get(foreign.KUEUE_WORKLOAD) or pod.owner.name or pod.name


def levels(pod: Pod, objects: ForeignObjects) -> tuple[str, ...]:
    """Level names and label keys that the pod asks for."""
    return annotated.levels(pod, objects)


def read(namespace: str, name: str, pods: Sequence[Pod], context: Context) -> Gang:
    """The gang of some owner. Never raises."""
    draft = Draft(with_roles(pods, _podset), {})
    claimed = [pod for pod in draft.pods if claim(pod) == name]
    draft.write(claimed, keys.GANG, "", name)
    counted = next(
        (pod for pod in claimed if foreign.KUEUE_POD_GROUP_COUNT in pod.annotations), None
    )
    if counted is not None and not any(pod.node for pod in pods):
        count = foreign.KUEUE_POD_GROUP_COUNT
        origin = f"Pod {namespace}/{counted.name}: {count}"
        draft.fill({keys.GANG_SIZE: (origin, counted.annotations[count])})
    context = replace(context, origins={**context.origins, **draft.origins})
    return replace(annotated.read(namespace, name, draft.pods, context), source=NAME)


def _podset(pod: Pod) -> str:
    name = pod.labels.get(foreign.KUEUE_PODSET) or pod.labels.get(foreign.JOBSET_ROLE)
    return role_name(name) if name else ""
