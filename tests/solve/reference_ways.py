"""What a gang can be and on what, for the exact model: its forms, flavors and mixed pairs of classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from scheduler.model import Gang, PodSet, TopologyRequest
from scheduler.policy import Policy
from topology.model import Flavor, Node


def forms_of(gang: Gang) -> list[Gang]:
    """The gang as it is, and one gang of another name for each variant that it can take."""
    found = [gang]
    if not any(podset.running for podset in gang.podsets):
        for one in gang.variants:
            if one.refusal is None:
                name = f"{gang.name} as on {one.flavor}"
                sets, least = one.podsets, one.min_members
                found.append(
                    replace(gang, name=name, podsets=sets, min_members=least, variants=(one,))
                )
    return found


def decodes(podset: PodSet) -> bool:
    """Whether it is a decode PodSet."""
    return podset.role == "decode" or podset.role.startswith("decode-")


def prefills(podset: PodSet) -> bool:
    """Whether it is a prefill PodSet."""
    return podset.role == "prefill" or podset.role.startswith("prefill-")


def takes_cards(podset: PodSet, node: Node) -> bool:
    """Whether a member takes cards of the node."""
    cards = node.accelerator
    return cards is not None and podset.request[cards.resource] > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One flavor for all, or a mixed pair: ``classes`` for decode members (True) and all others."""

    flavors: dict[bool, tuple[int, Flavor]]
    classes: dict[bool, str]

    @property
    def rank(self) -> int:
        """The worse of both."""
        return max(rank for rank, _ in self.flavors.values())

    def admits(self, podset: PodSet, node: Node) -> bool:
        """Whether members of a PodSet that follows flavors may stand on the node."""
        _, flavor = self.flavors[decodes(podset)]
        cards = node.accelerator
        if not flavor.node_selector.items() <= node.labels.items():
            return False
        if flavor.device_class and (not cards or cards.device_class != flavor.device_class):
            return False
        if flavor.min_memory_bytes and (not cards or not cards.memory_bytes):
            return False
        if (
            flavor.min_memory_bytes
            and cards
            and (cards.memory_bytes or 0) < flavor.min_memory_bytes
        ):
            return False
        if not self.classes or not takes_cards(podset, node):
            return True
        return cards is not None and cards.device_class == self.classes[decodes(podset)]

    def suits(self, gang: Gang, followers: Sequence[PodSet]) -> bool:
        """Whether size and requests are those of the flavors; a variant is made for its flavor."""
        if _is_variant(gang):
            return True
        sizes = all(flavor.members in (None, gang.size) for _, flavor in self.flavors.values())
        return sizes and all(_offers(self.flavors[decodes(one)][1], one) for one in followers)


def ways_of(gang: Gang, policy: Policy) -> Iterator[Way]:
    """The ways that one form of a gang can take."""
    mine = gang.variants[0].flavor if _is_variant(gang) else None
    others = {one.flavor for one in gang.variants}
    flavors = [
        (rank, flavor)
        for rank, flavor in enumerate(gang.flavors or (Flavor(name=""),))
        if (flavor.name == mine if mine is not None else flavor.name not in others)
    ]
    for one in flavors:
        yield Way(flavors={False: one, True: one}, classes={})
    if not (any(map(prefills, gang.podsets)) and any(map(decodes, gang.podsets))):
        return
    for pair in policy.mixed_pairs:
        if pair.connector == gang.connector:
            classes = {False: pair.prefill, True: pair.decode}
            for one in flavors:
                for other in flavors:
                    yield Way(flavors={False: one, True: other}, classes=classes)


def _is_variant(gang: Gang) -> bool:
    return len(gang.variants) == 1 and gang.variants[0].podsets is gang.podsets


def wishes(gang: Gang) -> Iterator[tuple[str, TopologyRequest, Sequence[PodSet]]]:
    """Everything that asks for a level: scope, levels, PodSets."""
    yield "gang", gang.topology, gang.podsets
    for group in sorted({podset.group for podset in gang.podsets if podset.group}):
        podsets = [podset for podset in gang.podsets if podset.group == group]
        yield f"group {group}", podsets[0].group_topology, podsets
    for podset in gang.podsets:
        yield f"role {podset.role}", podset.topology, [podset]


def _offers(flavor: Flavor, podset: PodSet) -> bool:
    listed, request = flavor.resources or podset.request, podset.request
    extended = {name for name in request if "/" in name}
    return extended <= set(listed) and all(listed[name] == request[name] for name in listed)
