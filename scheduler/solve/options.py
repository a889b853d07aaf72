"""The ways to place a gang: each of its flavors on one device class, and the mixed pairs of the policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from scheduler.card_kinds import wanted
from scheduler.match import BoolArray
from scheduler.model import Code, Gang, PodSet, Reason
from scheduler.policy import MixedPair
from scheduler.solve.cards import FREE, NOWHERE, UNKNOWN
from scheduler.solve.offer import Offer
from scheduler.solve.problem import FlavorRow, Form, Option, Role
from scheduler.solve.variants import refusal, variant
from topology.model import Flavor


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """A gang with all that its options are made of."""

    gang: Gang
    forms: tuple[Form, ...]
    numbers: Mapping[str, int]
    """Flavor -> index of its form, for the flavors of variants; all others take the first form."""
    roles: Sequence[Role]
    """Of the whole problem."""
    offer: Offer

    def flavors(self) -> tuple[FlavorRow, ...]:
        """What each flavor means for the gang; without flavors the one that is implied."""
        if not self.gang.flavors:
            return (FlavorRow(name=None, serves=np.ones(len(self.offer.fleet), dtype=bool)),)
        rows = []
        for flavor in self.gang.flavors:
            serves = _serves(flavor, self.offer)
            refused = self._refused(flavor, serves, self.forms[0].roles)
            rows.append(FlavorRow(name=flavor.name, serves=serves, refusal=refused))
        return tuple(rows)

    def options(self, rows: Sequence[FlavorRow], pairs: Sequence[MixedPair]) -> tuple[Option, ...]:
        """The options on all flavors that are not refused; a class that cannot take the minimum is left
        out later. A mixed pair stands behind everything that does not mix and has its rank."""
        found = [
            option
            for rank, row in enumerate(rows)
            if row.refusal is None
            for option in self._on_one_class(rank, row)
        ]
        for pair in pairs:
            if pair.connector == self.gang.connector and pair.prefill != pair.decode:
                found += self._mixed(rows, pair)
        parts = (part for option in found for part in self._at_home(option))
        return tuple(sorted(parts, key=lambda option: option.cost))

    def _form(self, row: FlavorRow) -> int:
        return self.numbers.get(row.name or "", 0)

    def _refused(self, flavor: Flavor, serves: BoolArray, own: Sequence[int]) -> Reason | None:
        """Why roles (indices) of the gang's first form can never use the flavor."""
        if variant(self.gang, flavor.name) is not None:
            return refusal(self.gang, flavor.name)
        at = dict(zip(self.forms[0].roles, self.gang.podsets, strict=True))
        return (
            _size_differs(self.gang, flavor)
            or _requests_differ(flavor, [at[role] for role in own])
            or _pinned(flavor, [self.roles[role] for role in own], serves)
        )

    def _on_one_class(self, rank: int, row: FlavorRow) -> Iterator[Option]:
        offer, form = self.offer, self._form(row)
        roles = [self.roles[role] for role in self.forms[form].roles]
        pinned = {
            int(offer.device[node])
            for role in roles
            if role.follows
            for node in role.running
            if role.cards[node]
        }
        if len(pinned) > 1:
            return
        admitted = [(role.causes == 0) & (row.serves | (not role.follows)) for role in roles]
        bound = [
            mask & (role.cards > 0) & role.follows
            for role, mask in zip(roles, admitted, strict=True)
        ]
        classes = pinned or {int(c) for mask in bound for c in np.unique(offer.device[mask])}
        number = None if row.name is None else rank
        if not classes:
            yield Option(flavor=number, rank=rank, masks=tuple(admitted), form=form)
        for device in sorted(classes, key=lambda c: offer.devices[c]):
            masks = tuple(
                mask & (~limited | (offer.device == device))
                for mask, limited in zip(admitted, bound, strict=True)
            )
            yield Option(flavor=number, rank=rank, masks=masks, form=form)

    def _at_home(self, option: Option) -> Iterator[Option]:
        """The option, or one for each home where the members with cards must be together."""
        form, of = self.forms[option.form], self.offer.homes.of
        roles = [self.roles[role] for role in form.roles]
        carded = [(role.cards > 0) & (of != FREE) for role in roles]
        bound = np.logical_or.reduce(
            [mask & limited for mask, limited in zip(option.masks, carded, strict=True)]
        )
        if not form.company or not bound.any():
            yield option
            return
        running = {int(of[n]) for role in roles for n in role.running if role.cards[n]} - {FREE}
        homes = running or {int(home) for home in np.unique(of[bound])} - {UNKNOWN}
        if len(running) > 1 or UNKNOWN in running:
            return
        parts = [
            replace(
                option,
                masks=tuple(
                    mask & (~limited | (of == home))
                    for mask, limited in zip(option.masks, carded, strict=True)
                ),
                home=self.offer.homes.names[home] if home >= 0 else NOWHERE,
                around=option.masks,
            )
            for home in sorted(homes) or [FREE]
        ]
        room = [self._room(part) for part in parts]
        least = max(1, form.least - form.running_total)
        enough = [part for part, fit in zip(parts, room, strict=True) if fit >= least]
        yield from enough or [parts[room.index(max(room))]]

    def _room(self, option: Option) -> int:
        """At most so many new members fit."""
        total = 0
        for index, mask in zip(self.forms[option.form].roles, option.masks, strict=True):
            role = self.roles[index]
            needs = np.flatnonzero(role.request > 0)
            fits = self.offer.free[np.ix_(mask, needs)] // role.request[needs]
            each = np.clip(fits.min(axis=1, initial=role.pending), 0, role.pending)
            total += min(int(each.sum()), role.pending)
        return total

    def _mixed(self, rows: Sequence[FlavorRow], pair: MixedPair) -> Iterator[Option]:
        """Decode members on one class, all others on the other; each side on a flavor, perhaps the same.

        Two flavors go together only where they take the same pods: a flavor's variant is the whole gang.
        """
        for first, second in product(range(len(rows)), repeat=2):
            form = self.forms[self._form(rows[first])]
            if not form.decode or self._form(rows[first]) != self._form(rows[second]):
                continue
            others = tuple(role for role in form.roles if role not in form.decode)
            sides = [
                self._side(rows[flavor], flavor, roles, device)
                for flavor, roles, device in (
                    (first, others, pair.prefill),
                    (second, form.decode, pair.decode),
                )
            ]
            if sides[0] is None or sides[1] is None:
                continue
            masks = {**sides[0].masks, **sides[1].masks}
            yield Option(
                flavor=None if rows[first].name is None else first,
                rank=max(first, second),
                masks=tuple(masks[role] for role in form.roles),
                form=self._form(rows[first]),
                mixed=(sides[0].carded, sides[1].carded),
            )

    def _side(self, row: FlavorRow, rank: int, own: Sequence[int], device: str) -> _Side | None:
        """Roles of one form on one class of a flavor; None when they cannot stand there."""
        offer = self.offer
        if row.name is not None and own[0] in self.forms[0].roles:
            flavor = self.gang.flavors[rank]
            if self._refused(flavor, row.serves, own) is not None:
                return None
        if device not in offer.devices:
            return None
        here = offer.device == offer.devices.index(device)
        masks, carded = {}, []
        for index in own:
            role = self.roles[index]
            admitted = (role.causes == 0) & (row.serves | (not role.follows))
            cards = (role.cards > 0) & role.follows
            runs = [node for node in role.running if cards[node]]
            if not all(here[runs]):
                return None
            inside = admitted & cards & here
            masks[index] = inside if inside.any() else admitted & ~cards
            if runs or inside.any():
                carded.append(index)
        return _Side(masks, tuple(carded)) if carded else None


@dataclass(frozen=True, slots=True)
class _Side:
    """One side of a mixed pair: the nodes of its roles, and those of them that take cards."""

    masks: Mapping[int, BoolArray]
    carded: tuple[int, ...]


def _serves(flavor: Flavor, offer: Offer) -> BoolArray:
    serves = offer.fleet.labelled(flavor.node_selector)
    if flavor.device_class is not None:
        known = flavor.device_class in offer.devices
        number = offer.devices.index(flavor.device_class) if known else -2
        serves &= offer.device == number
    if flavor.min_memory_bytes is not None:
        serves &= offer.memory >= max(flavor.min_memory_bytes, 0)
    return serves


def _size_differs(gang: Gang, flavor: Flavor) -> Reason | None:
    """Why the gang's own size is not that which the flavor is made for."""
    if flavor.members is None or flavor.members == gang.size:
        return None
    return Reason(
        code=Code.MEMBERS_DIFFER,
        message=f"{flavor.name} is for {flavor.members} members, the gang has {gang.size}",
        numbers={"membersOfFlavor": flavor.members, "membersOfGang": gang.size},
    )


def _requests_differ(flavor: Flavor, podsets: Sequence[PodSet]) -> Reason | None:
    """Why the requests of PodSets are not those that the flavor is made for."""
    if flavor.cards is not None and flavor.card is None:
        least, named = flavor.min_memory_bytes, flavor.device_class
        demands = [f"class {named}"] if named is not None else []
        demands += [f"{least / 2**30:.4g} GiB or more"] if least is not None else []
        text = f"{flavor.name} is for {flavor.cards} cards per pod, and no node has cards that would do"
        text += f" ({', '.join(demands)})" if demands else ""
        return Reason(code=Code.NO_NODES, message=text, numbers={"nodesMatching": 0})
    for podset in podsets:
        asks_for = wanted(podset.request, flavor)
        if asks_for is None or not podset.follows_flavors:
            continue
        listed = asks_for.amounts
        asked = {name for name, need in podset.request.amounts.items() if need and "/" in name}
        for name in sorted({*listed, *asked}):
            if name not in listed or listed[name] != podset.request[name]:
                return Reason(
                    code=Code.RESOURCES_DIFFER,
                    message=(
                        f"{flavor.name} is for pods that request {listed.get(name, 0)} {name}, "
                        f"role {podset.role} requests {podset.request[name]}; only Muster's webhook "
                        "has pods made for another flavor"
                    ),
                    numbers={
                        "flavorAmount": listed.get(name, 0),
                        "podAmount": podset.request[name],
                    },
                )
    return None


def _pinned(flavor: Flavor, roles: Sequence[Role], serves: BoolArray) -> Reason | None:
    outside = sum(
        count
        for role in roles
        if role.follows
        for node, count in role.running.items()
        if not serves[node]
    )
    if not outside:
        return None
    return Reason(
        code=Code.PINNED_TO_RUNNING,
        message=f"{outside} of its running members stand on nodes that do not serve {flavor.name}",
        numbers={"runningElsewhere": outside},
    )
