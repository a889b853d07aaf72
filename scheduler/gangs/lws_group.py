"""One group of a LeaderWorkerSet as its pods and objects show it: a leader, its workers, who is to come.

A slot (namespace, set, group index) lives many lives under the same names. The life is told by the uid of
the leader: a worker belongs to it when its StatefulSet is owned by that pod. Pods of an earlier life use
capacity but are no members. The group index is opaque text; with ``groupIdentity: Hash`` it is no number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from scheduler.foreign import (
    CONTROLLER_REVISION,
    LEADER_WORKER_SET,
    STATEFUL_SET,
    ForeignObjects,
    Object,
    controller_of,
)
from scheduler.gangs import lws_pods
from scheduler.gangs.chain import where
from scheduler.gangs.request import MAX_MEMBERS, RequestError, show, whole
from scheduler.keys import FLAVOR, NODE, PLAN, RANK
from scheduler.model import Toleration
from scheduler.pods import Pod, expected, read_pod
from topology import keys
from topology.tree import natural_key
from topology.untyped import mapping, strings, text

LEADER_READY = "LeaderReady"
_ALWAYS, _AFTER_START = "RecreateGroupOnPodRestart", "RecreateGroupAfterStart"
_ORDINAL = re.compile(r"-\d+$")
_WRITTEN_BY_US = frozenset({RANK, NODE, FLAVOR, PLAN})


def claim(pod: Pod) -> str | None:
    """``<set>-<group index>``, the name of the leader pod; None for a pod of no LeaderWorkerSet.

    Where the labels of the webhook are absent, the names of the pod and of its StatefulSet say the same.
    """
    name = pod.labels.get(keys.LWS_NAME)
    if not name:
        return None
    index = pod.labels.get(keys.LWS_GROUP_INDEX)
    if index:
        return f"{name}-{index}"
    if is_leader(pod):
        return pod.name
    by_owner = pod.owner.name if pod.owner and pod.owner.kind == "StatefulSet" else ""
    return pod.annotations.get(keys.LWS_LEADER_NAME) or by_owner or _ORDINAL.sub("", pod.name)


def is_leader(pod: Pod) -> bool:
    """Whether a pod of a LeaderWorkerSet leads its group."""
    index = pod.labels.get(keys.LWS_WORKER_INDEX)
    if index is not None:
        return index == "0"
    return pod.owner is None or pod.owner.name == pod.labels.get(keys.LWS_NAME)


def concerns(kind: str, obj: Object, pod: Pod) -> bool:
    """Whether a change of a foreign object may change the gang of a pod.

    Each group has a StatefulSet of its own, so that without this a set with many groups would be read again
    for each of them. An object that tells nothing about itself, or of another kind, may concern everybody.
    """
    metadata = mapping(obj.get("metadata"))
    name, labels = text(metadata.get("name")), strings(metadata.get("labels"))
    if not obj.keys() & {"spec", "data"}:
        return True
    if kind == STATEFUL_SET:
        return claim(pod) == name
    if kind == LEADER_WORKER_SET:
        # A slice of a DisaggregatedSet looks at the sets of all its roles.
        whole_set = labels.get(keys.DISAGGREGATED_NAME)
        of_one = whole_set and whole_set == pod.labels.get(keys.DISAGGREGATED_NAME)
        return name == pod.labels.get(keys.LWS_NAME) or bool(of_one)
    if kind == CONTROLLER_REVISION and keys.LWS_NAME in labels:
        return labels[keys.LWS_NAME] == pod.labels.get(keys.LWS_NAME)
    return True


def set_of(pod: Pod, objects: ForeignObjects) -> Object | None:
    """The LeaderWorkerSet of a pod, where it is known."""
    return objects.get(LEADER_WORKER_SET, pod.namespace, pod.labels.get(keys.LWS_NAME, ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The pods of one group and what its LeaderWorkerSet says about it."""

    name: str
    """Of the leader pod."""
    set_name: str
    lws: Object
    """Empty when it is not known."""
    template: Object
    """``leaderWorkerTemplate`` of the leader's revision; empty when the set is not known."""
    leader: Pod | None
    workers: tuple[Pod, ...]
    """Those of the leader's life; all of them while there is no leader."""
    stale: tuple[Pod, ...]
    """Pods of an earlier life that have not been told to end yet."""
    stateful_set: Object
    """That of the workers; empty while it does not exist."""

    @classmethod
    def of(cls, name: str, pods: Sequence[Pod], objects: ForeignObjects) -> Group:
        """The group of ``pods``, at least one, which all have this claim."""
        pods = sorted(pods, key=lambda pod: (pod.name != name, natural_key(pod.name)))
        leader = next((pod for pod in pods if is_leader(pod)), None)
        named = next((pod for pod in pods if pod.labels.get(keys.LWS_NAME)), pods[0])
        lws = set_of(named, objects) or {}
        revision = (leader or pods[0]).labels.get(keys.LWS_REVISION, "")
        own = objects.get(STATEFUL_SET, pods[0].namespace, name) or {}
        present = leader is not None and text(controller_of(own).get("uid")) == leader.uid
        rest = [(pod, _belongs(pod, leader, objects)) for pod in pods if pod is not leader]
        return cls(
            name=name,
            set_name=named.labels.get(keys.LWS_NAME, name),
            lws=lws,
            template=_revision(lws, revision, objects) or lws_pods.template_of(lws),
            leader=leader,
            workers=tuple(pod for pod, belongs in rest if belongs),
            stale=tuple(pod for pod, belongs in rest if not belongs),
            stateful_set=own if present else {},
        )

    @property
    def members(self) -> tuple[Pod, ...]:
        """The pods of the present life that exist, the leader first."""
        return (*((self.leader,) if self.leader else ()), *self.workers)

    @property
    def size(self) -> int:
        """Pods that the group is to have. Raises ``RequestError`` when what says so is no number.

        The StatefulSet of the workers decides once it exists, before it what the leader was made with.
        """
        replicas = mapping(self.stateful_set.get("spec")).get("replicas")
        made = lws_pods.number(replicas, 0)
        if replicas is not None and made is not None:
            return min(made, MAX_MEMBERS) + 1
        for pod in self.members:
            text_ = pod.annotations.get(keys.LWS_SIZE)
            if text_ is not None:
                number = whole(text_.strip())
                if not number or number > MAX_MEMBERS:
                    expects = f"is not a whole number from 1 to {MAX_MEMBERS}"
                    raise RequestError([pod], keys.LWS_SIZE, f"{show(text_)} {expects}")
                return number
        size = lws_pods.number(self.template.get("size"), len(self.members))
        return min(max(size or 1, 1), MAX_MEMBERS)

    @property
    def late(self) -> bool:
        """Whether workers are created only after the leader is bound (exclusive topology) or Ready."""
        ready = mapping(self.lws.get("spec")).get("startupPolicy") == LEADER_READY
        return ready or self.exclusive is not None

    @property
    def exclusive(self) -> str | None:
        """The node label of which the group has one value for itself; None without such a rule."""
        asked = self.leader.annotations.get(keys.LWS_EXCLUSIVE) if self.leader else None
        return asked or lws_pods.annotation(self.lws, keys.LWS_EXCLUSIVE) or None

    @property
    def subgroup_exclusive(self) -> str | None:
        """The same for each subgroup."""
        asked = (pod.annotations.get(keys.LWS_SUBGROUP_EXCLUSIVE) for pod in self.members)
        return next((level for level in asked if level), None)

    @property
    def subgroup_size(self) -> str | None:
        """Pods of a subgroup, as it is written on the pods."""
        asked = (pod.annotations.get(keys.LWS_SUBGROUP_SIZE) for pod in self.members)
        return next((size for size in asked if size), None)

    @property
    def roots(self) -> tuple[str, ...]:
        """See ``Gang.roots``: the leader, where the restart policy builds the whole group anew."""
        if self.leader is None or not self.lws or not self.leader.uid:
            return ()
        return (self.leader.uid,) if self._restart_policy in (_ALWAYS, _AFTER_START) else ()

    @property
    def restarts_with(self) -> Mapping[str, str]:
        """See ``Gang.restarts_with``: all with the leader, where the end of any pod restarts the group.

        With "after start" LeaderWorkerSet leaves a group alone of which a pod is Pending
        (``handleRestartPolicy`` of v0.9). Whether it has started cannot be known here: it is left to it.
        """
        written = mapping(mapping(self.lws.get("metadata")).get("annotations"))
        if self._restart_policy != _ALWAYS or keys.LWS_AFTER_START in written:
            return {}
        return {pod.uid: uid for uid in self.roots for pod in self.members if pod.uid}

    @property
    def _restart_policy(self) -> str:
        return text(lws_pods.template_of(self.lws).get("restartPolicy")) or _ALWAYS

    def missing(self) -> tuple[Pod, ...]:
        """The workers that are created late and do not exist yet, as they will be.

        A worker is like its siblings, else like its template with what admission added to the leader.
        Raises ``RequestError``.
        """
        if self.leader is None or not self.late or not self._workers_template:
            return ()
        have = {pod.name for pod in self.workers}
        return tuple(
            self._expected(self.leader, index)
            for index in range(1, self.size)
            if f"{self.name}-{index}" not in have
        )

    @property
    def _workers_template(self) -> Object:
        return mapping(self.template.get("workerTemplate"))

    def _expected(self, leader: Pod, index: int) -> Pod:
        made = self._made(leader, index)
        part = made.labels.get(keys.LWS_SUBGROUP_INDEX) if self.subgroup_exclusive else None
        for sibling in sorted(self.workers, key=lambda pod: pod.node is not None):
            if part in (None, sibling.labels.get(keys.LWS_SUBGROUP_INDEX)):
                return _like(sibling, made)
        return made

    def _made(self, leader: Pod, index: int) -> Pod:
        """By the templates. Other admission plugins treat the leader and its workers alike."""
        of = lws_pods.Leader(namespace=leader.namespace, name=self.name, labels=leader.labels)
        template = {**self.template, "size": self.size}
        pod = expected(lws_pods.worker(self.lws, template, of, index, self._selector()), late=True)
        own = lws_pods.leader_template(self.template)
        if pod.priority_class_name != _class_of(own):
            raise RequestError(
                [leader],
                "",
                f"{_class_of(self._workers_template) or 'none'}, but {_class_of(own) or 'none'} for the "
                "leader; members of a gang have one priority",
                f"{where(self.lws)}: spec.leaderWorkerTemplate.workerTemplate.spec.priorityClassName",
            )
        alike = not mapping(self.template.get("leaderTemplate"))
        constraints = replace(
            pod.constraints,
            tolerations=(*pod.constraints.tolerations, *_added_tolerations(leader, own)),
        )
        return replace(
            pod,
            request=leader.request if alike else pod.request,
            written=leader.written if alike else None,
            template=(alike and leader.template) or pod.template,
            constraints=constraints,
            priority=leader.priority,
            priority_class=leader.priority_class,
            priority_class_name=leader.priority_class_name,
        )

    def _selector(self) -> Mapping[str, str]:
        """What the controller has added to the node selector of the workers."""
        template = mapping(mapping(self.stateful_set.get("spec")).get("template"))
        found = strings(mapping(template.get("spec")).get("nodeSelector"))
        return {key: value for key, value in found.items() if key == self.exclusive}


def _belongs(pod: Pod, leader: Pod | None, objects: ForeignObjects) -> bool:
    """Whether a worker is of the leader's life, as far as can be known."""
    if pod.owner is None:
        return True
    if pod.owner.kind == "Pod":
        return leader is not None and pod.owner.uid == leader.uid
    owner = objects.get(STATEFUL_SET, pod.namespace, pod.owner.name)
    if owner is None:
        if leader is None:
            return True
        # Workers are made after their leader, in whole seconds; and none runs before it was bound, too.
        earlier = 0 < pod.created_seconds < leader.created_seconds
        return not earlier and (leader.node is not None or pod.node is None)
    if objects.owner(pod.namespace, pod.owner.reference) is None:
        return False  # the StatefulSet of this name is another one now
    above = controller_of(owner)
    if text(above.get("kind")) != "Pod":
        return True
    return leader is not None and text(above.get("uid")) in ("", leader.uid)


def _revision(lws: Object, revision: str, objects: ForeignObjects) -> Object:
    """``leaderWorkerTemplate`` of a revision. LeaderWorkerSet keeps all of it in a ControllerRevision."""
    metadata = mapping(lws.get("metadata"))
    namespace = text(metadata.get("namespace")) or "default"
    for obj in objects.in_namespace(CONTROLLER_REVISION, namespace) if revision else ():
        labels = mapping(mapping(obj.get("metadata")).get("labels"))
        about = labels.get(keys.LWS_NAME), labels.get(keys.LWS_REVISION)
        template = lws_pods.template_of(mapping(obj.get("data")))
        # The StatefulSets have revisions of their own, with the same labels.
        if about == (metadata.get("name"), revision) and template:
            return template
    return {}


def _like(sibling: Pod, made: Pod) -> Pod:
    """A worker that is expected, as far as it can be seen from another one that exists."""
    own = (
        keys.LWS_WORKER_INDEX, keys.LWS_SUBGROUP_INDEX, keys.LWS_SUBGROUP_KEY, keys.POD_INDEX,
        keys.STATEFUL_SET_POD_NAME,
    )  # fmt: skip
    labels = {key: value for key, value in sibling.labels.items() if key not in own}
    annotations = {
        key: value for key, value in sibling.annotations.items() if key not in _WRITTEN_BY_US
    }
    return replace(
        made,
        labels={**labels, **{key: made.labels[key] for key in own if key in made.labels}},
        annotations=annotations,
        request=sibling.request,
        written=sibling.written,
        template=sibling.template,
        constraints=sibling.constraints,
        namespace_selectors=sibling.namespace_selectors,
        priority=sibling.priority,
        priority_class=sibling.priority_class,
        priority_class_name=sibling.priority_class_name,
    )


def _added_tolerations(leader: Pod, template: Object) -> Iterator[Toleration]:
    """What admission added to the leader, such as for the taints of nodes with its resources."""
    own = read_pod({"spec": mapping(template.get("spec"))}).constraints.tolerations
    return (one for one in leader.constraints.tolerations if one not in own)


def _class_of(template: Object) -> str:
    return text(mapping(template.get("spec")).get("priorityClassName"))
