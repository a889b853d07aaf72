"""What is missing for one gang on one flavor, when it does not fit even alone: the numbers and the words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from scheduler.match import BoolArray, Cause, Fleet, IntArray
from scheduler.model import Code, Gang, PodSet, Reason
from scheduler.ratio import start
from scheduler.snapshot import Snapshot
from scheduler.solve.cards import NOWHERE, telling
from scheduler.solve.problem import Form, GangRow, Option, Problem, Role
from topology.resources import CPU, MEMORY, PODS

_EXCLUDED = {
    Cause.NOT_READY: ("excludedNotReady", "not ready"),
    Cause.CORDONED: ("excludedCordoned", "cordoned"),
    Cause.UNTRUSTED: ("excludedUntrusted", "with accelerators that cannot be trusted"),
    Cause.REFUSED: ("excludedRefused", "refused by kube-scheduler lately"),
    Cause.TAINT: ("excludedByTaint", "by taint"),
    Cause.SELECTOR: ("excludedBySelector", "by the pod's node selector"),
    Cause.AFFINITY: ("excludedByAffinity", "by node affinity"),
    Cause.PORTS: ("excludedByPorts", "by host ports in use"),
    Cause.POD_AFFINITY: ("excludedByPodAffinity", "by pod affinity"),
    Cause.POD_ANTI_AFFINITY: ("excludedByPodAntiAffinity", "by pod anti-affinity"),
    Cause.SPREAD: ("excludedBySpread", "without the label of its topology spread"),
    Cause.CARD_COUNT: ("excludedByCardCount", "by number of cards"),
    Cause.FLAVOR: ("excludedByFlavor", "by flavor"),
    Cause.DEVICE: ("excludedByDevice", "by class of accelerator"),
    Cause.TOO_SMALL: ("excludedTooSmall", "too small even when empty"),
}
"""Cause -> key among the numbers, words; in the order of the enumeration, the flavor first."""


@dataclass(frozen=True, slots=True)
class _Look:
    """One role on the nodes of one option, or several whose members ask for the same."""

    roles: tuple[int, ...]
    role: Role
    """The first of them, with the names and pending members of all."""
    podset: PodSet
    needed: int
    """New members without which the gang does not start."""
    mask: BoolArray
    room: IntArray

    @property
    def fits(self) -> int:
        return min(int(self.room.sum()), self.needed)


class Lack:
    """Looks at the nodes as they are before this decision (running pods and reservations taken off)."""

    def __init__(self, problem: Problem, snapshot: Snapshot) -> None:
        self._problem, self._tree = problem, snapshot.tree
        self._fleet = Fleet(snapshot.nodes)
        self._allocatable = [state.node.allocatable for state in snapshot.nodes]

    def reason(
        self, gang: Gang, number: int, options: Sequence[Option], serves: BoolArray
    ) -> Reason:
        """Why ``gang``, as it is on a flavor, does not fit there; its best device class speaks for it."""
        row = self._problem.gangs[number]
        form = row.forms[options[0].form]
        option, looks = max(
            ((option, self._looks(gang, row, option)) for option in options),
            key=lambda one: (
                sum(look.fits for look in one[1]),
                sum(int(look.mask.sum()) for look in one[1]),
            ),
        )
        home = self._home(option, looks)
        if option.around:
            looks = self._looks(gang, row, replace(option, masks=option.around))
        parts, looks = looks, self._merged(looks)
        look = min(looks, key=lambda look: (look.fits >= look.needed, look.fits - look.needed))
        numbers, excluded = self._excluded(look, serves)
        numbers = {"membersNeeded": look.needed, "membersFit": look.fits, **numbers}
        matching = f"{numbers['nodesMatching']} of {len(look.mask)} nodes match"
        if excluded:
            matching += f" (excluded: {', '.join(excluded)})"
        roles = "role" if len(look.roles) == 1 else "roles"
        who = f"of {roles} {look.role.name} " if len(looks) > 1 else ""
        missing, words = self._missing(look)
        amounts = _amounts(look.podset, missing)
        each = f"(each needs {amounts})"
        if not numbers["nodesMatching"]:
            code = Code.REFUSED if numbers.get("excludedRefused") else Code.NO_NODES
            message = f"no node takes members {who}{each}; {matching}"
            return Reason(code=code, message=message, numbers=numbers)
        head = f"{look.fits} of {look.needed} members {who}fit {each}"
        if look.fits < look.needed:
            numbers["missing"] = next(iter(missing.values()), 0)
            short = look.needed - look.fits
            more = f"{short} more {'node' if short == 1 else 'nodes'}"
            message = f"{head}; {words}; {matching}; {more} with {amounts} free would do"
            code = Code.REFUSED if self._refused_would_do(look, serves) else Code.INSUFFICIENT
            return Reason(code=code, message=message, numbers=numbers)
        best, words = home if home[1] else self._domain(form, parts)
        if not words:
            words = "its roles do not fit together, or not with the rules about other pods"
        code = Code.TOPOLOGY_TOO_SMALL if best else Code.INSUFFICIENT
        code = Code.PINNED_TO_RUNNING if "runningDomains" in best else code
        message = f"{head}, but {words}; {matching}"
        return Reason(code=code, message=message, numbers={**numbers, **best})

    def _home(self, option: Option, looks: Sequence[_Look]) -> tuple[dict[str, int], str]:
        """Where the members have to be together and do not fit; empty words where that is not it."""
        merged = self._merged(looks)
        fits, needed = (sum(n) for n in zip(*((x.fits, x.needed) for x in merged), strict=True))
        if not option.home or fits >= needed:
            return {}, ""
        words = f"the best, {option.home}, holds {fits} of {needed}"
        if option.home == NOWHERE:
            words = "no node that matches has a known scale-up domain"
        return {"bestDomainHolds": fits}, f"the vendor demands that they stand together; {words}"

    def _looks(self, gang: Gang, row: GangRow, option: Option) -> list[_Look]:
        form = row.forms[option.form]
        roles = [self._problem.roles[index] for index in form.roles]
        first = start(gang.podsets, gang.min_members)
        lows = [max(0, n - role.running_total) for n, role in zip(first, roles, strict=True)]
        # What the gang's minimum asks beyond those of its roles may come from any role.
        open_ = max(0, form.least - form.running_total - sum(lows))
        looks = []
        for index, role, podset, low, mask in zip(
            form.roles, roles, gang.podsets, lows, option.masks, strict=True
        ):
            more = min(open_, role.pending - low)
            open_ -= more
            room = self._problem.capacity(role, self._problem.free, mask)
            looks.append(_Look((index,), role, podset, low + more, mask, room))
        return looks

    def _merged(self, looks: Sequence[_Look]) -> list[_Look]:
        """Roles of equal requests on equal nodes compete for the same places: they count as one."""
        merged: dict[tuple[bytes, bytes], _Look] = {}
        for look in looks:
            key = look.role.request.tobytes(), look.mask.tobytes()
            merged[key] = self._joined(merged[key], look) if key in merged else look
        return list(merged.values())

    def _joined(self, first: _Look, other: _Look) -> _Look:
        role = replace(
            first.role,
            name=f"{first.role.name}, {other.role.name}",
            pending=first.role.pending + other.role.pending,
        )
        return replace(
            first,
            roles=first.roles + other.roles,
            role=role,
            needed=first.needed + other.needed,
            room=self._problem.capacity(role, self._problem.free, first.mask),
        )

    def _excluded(self, look: _Look, serves: BoolArray) -> tuple[dict[str, int], list[str]]:
        causes = look.role.causes.copy()
        if look.role.follows:
            causes[~(serves | look.mask)] = Cause.FLAVOR
            causes[(causes == 0) & ~look.mask] = Cause.DEVICE
        for node in np.flatnonzero((causes == 0) & (look.room == 0)).tolist():
            if not self._allocatable[node].fits(look.podset.request):
                causes[node] = Cause.TOO_SMALL
        counts = Counter(causes.tolist())
        numbers = {"nodesMatching": counts[0], "nodesTotal": len(causes)}
        words = []
        for why in sorted(_EXCLUDED, key=lambda why: (why is not Cause.FLAVOR, why)):
            if counts[why]:
                key, text = _EXCLUDED[why]
                numbers[key] = counts[why]
                more = self._taints(look, causes) if why is Cause.TAINT else ""
                more += f" ({'; '.join(look.role.illegal)})" if why is Cause.CARD_COUNT else ""
                words.append(f"{counts[why]} {text}{more}")
        return numbers, words

    def _taints(self, look: _Look, causes: np.ndarray[tuple[int], np.dtype[np.int8]]) -> str:
        codes, taints = self._fleet.blocking_taints(look.podset.constraints.tolerations)
        found = Counter(codes[causes == Cause.TAINT].tolist())
        named = {
            f"{t.key}={t.value}:{t.effect}" for code in found if (t := taints[code]) is not None
        }
        return f" {' and '.join(sorted(named)[:2])}" + (" and others" if len(named) > 2 else "")

    def _missing(self, look: _Look) -> tuple[dict[str, int], str]:
        """What one more member lacks on the matching node that lacks least."""
        needs = np.flatnonzero(look.role.request > 0)
        left = self._problem.free[look.mask] - look.room[look.mask, None] * look.role.request
        if not len(left):
            return {}, ""
        short = np.maximum(look.role.request[needs] - left[:, needs], 0)
        nearest = int((short / look.role.request[needs]).sum(axis=1).argmin())
        names = [self._problem.resources[resource] for resource in needs]
        lacks = {name: int(n) for name, n in zip(names, short[nearest], strict=True) if n}
        missing = telling(lacks)
        shown = " and ".join(_amount(name, amount) for name, amount in missing.items())
        return missing, f"the closest node lacks {shown} for one more"

    def _refused_would_do(self, look: _Look, serves: BoolArray) -> bool:
        refused = (look.role.causes == Cause.REFUSED) & (serves | (not look.role.follows))
        more = self._problem.capacity(look.role, self._problem.free, refused)
        return bool(refused.any()) and look.fits + int(more.sum()) >= look.needed

    def _domain(self, form: Form, looks: Sequence[_Look]) -> tuple[dict[str, int], str]:
        """The domain of the strictest required level or slice that holds most members."""
        asked = [(wish.required, wish.roles) for wish in form.wishes if wish.required is not None]
        if asked:
            depth, roles = max(asked)
            inside = self._merged([look for look in looks if look.roles[0] in roles])
            held = sum(self._held(depth, look) for look in inside)
            needed = sum(look.needed for look in inside)
            running = {
                int(self._problem.domain_of[depth, node])
                for role in roles
                for node in self._problem.roles[role].running
            }
            if running:
                return self._pinned(depth, running, held, needed)
            return self._best(depth, held, needed)
        for look in looks:
            for depth, size in look.role.slices:
                held = self._per_domain(depth, look) // size * size
                total = int(held[self._problem.known[depth]].sum())
                if total < look.needed:
                    level = self._problem.levels[depth]
                    words = f"only {total} of {look.needed} in whole groups of {size} per {level}"
                    return {"membersInSlices": total}, words
        return {}, ""

    def _per_domain(self, depth: int, look: _Look) -> IntArray:
        of, domains = self._problem.domain_of[depth], len(self._problem.known[depth])
        return np.bincount(of, weights=look.room, minlength=domains).astype(np.int64)

    def _held(self, depth: int, look: _Look) -> IntArray:
        return np.minimum(self._per_domain(depth, look), look.needed)

    def _pinned(
        self, depth: int, running: Collection[int], held: IntArray | int, needed: int
    ) -> tuple[dict[str, int], str]:
        """Running members decide the domain of a required level."""
        level, home = self._problem.levels[depth], min(running)
        if len(running) > 1:
            words = f"its running members already stand in {len(running)} domains of level {level}"
            return {"runningDomains": len(running)}, words
        most = int(np.broadcast_to(held, len(self._problem.known[depth]))[home])
        name = self._tree.domains[depth][home].name
        words = f"its running members pin it to {level} {name}, which holds {most} of {needed} more"
        return {"runningDomains": 1, "bestDomainHolds": most}, words

    def _best(self, depth: int, held: IntArray | int, needed: int) -> tuple[dict[str, int], str]:
        level, known = self._problem.levels[depth], self._problem.known[depth]
        inside = np.where(known, held, -1)
        best = int(inside.argmax())
        if not known.any():
            return {"bestDomainHolds": 0}, f"no node has a known {level}"
        name, most = self._tree.domains[depth][best].name, int(inside[best])
        if most >= needed:
            return {
                "bestDomainHolds": most
            }, f"no single {level} holds all roles at once with their rules"
        return {"bestDomainHolds": most}, f"the best {level} {name} holds {most} of {needed}"


def _amounts(podset: PodSet, missing: Iterable[str]) -> str:
    """The requests that decide: extended resources and what is missing, else cpu and memory."""
    amounts = {name: need for name, need in podset.request.amounts.items() if need > 0}
    deciding = [name for name in sorted(amounts) if "/" in name or name in missing]
    shown = deciding or [name for name in (CPU, MEMORY) if name in amounts]
    return " and ".join(_amount(name, amounts[name]) for name in shown) or "a place for a pod"


def _amount(name: str, value: int) -> str:
    if name == CPU:
        return f"{value / 1000:g} {CPU}"
    if name == MEMORY and value >= 1 << 30:
        return f"{value / (1 << 30):.4g} GiB of memory"
    if " " in name and value > 1:  # of rules about cards: "set of 4 free cards ..."
        first, _, rest = name.partition(" ")
        name = f"{first}s {rest}"
    return f"{value} {'places for pods' if name == PODS else name}"
