"""Reading single request annotations: each wrong value is one sentence naming object and field."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scheduler import keys
from scheduler.gangs.context import Context
from scheduler.model import ALL_TO_ALL, Parallelism, Slice, TopologyRequest
from scheduler.pods import Pod
from topology.model import SCALE_UP
from topology.resources import amount

MAX_MEMBERS = 100_000
"""More than any cluster runs of one gang; Kubernetes' own limit is 150,000 pods in all."""

_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


class RequestError(Exception):
    """A gang's request is wrong; the text names the object and the field."""

    def __init__(self, pods: Sequence[Pod], key: str, message: str, origin: str = "") -> None:
        """``origin``: see ``Context.origins``; without it a pod's annotation or field ``key`` is wrong."""
        carrier = next((pod for pod in pods if key in pod.annotations), pods[0])
        where = origin or f"Pod {carrier.namespace}/{carrier.name}: {key}"
        # "flavor-spec[1].members: ...": an index belongs to the field.
        joint = "" if message.startswith("[") else ": "
        super().__init__(f"{where}{joint}{message}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What some members ask for together: the annotations on which they agree."""

    pods: Sequence[Pod]
    context: Context
    values: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, pods: Sequence[Pod], wanted: Sequence[str], of: str, context: Context) -> Asked:
        """The values of the keys ``wanted``. Raises ``RequestError`` where two members differ."""
        found: dict[str, tuple[str, Pod]] = {}
        for pod in pods:
            for key in wanted:
                value = pod.annotations.get(key)
                if value is None:
                    continue
                first, owner = found.setdefault(key, (value, pod))
                if first != value:
                    raise RequestError(
                        [pod],
                        key,
                        f"{show(value)}, but {show(first)} on pod {owner.name}; "
                        f"members of one {of} must agree",
                        context.origins.get(key, ""),
                    )
        values = {key: value.strip() for key, (value, _) in found.items()}
        return cls(pods=pods, context=context, values=values)

    def wrong(self, key: str, message: str) -> RequestError:
        """The error about one annotation."""
        return RequestError(self.pods, key, message, self.context.origins.get(key, ""))

    def number(self, key: str, least: int) -> int | None:
        """A whole number of members, at least ``least``; None when it is absent."""
        text = self.values.get(key)
        if text is None:
            return None
        number = whole(text)
        if number is None or not least <= number <= MAX_MEMBERS:
            expected = f"a whole number from {least} to {MAX_MEMBERS}"
            raise self.wrong(key, f"{show(text)} is not {expected}")
        return number

    def names(self, key: str) -> tuple[str, ...]:
        """A comma separated list of names, in order; empty when it is absent."""
        if key not in self.values:
            return ()
        parts = tuple(part.strip() for part in self.values[key].split(","))
        if not all(parts):
            raise self.wrong(key, f"{show(self.values[key])} has an empty name; expected a,b,c")
        return parts

    def name(self, key: str) -> str | None:
        """A name that is fit for a label; None when it is absent."""
        text = self.values.get(key)
        if text is not None and not _LABEL_VALUE.fullmatch(text):
            expected = "at most 63 letters, digits, '-', '_' or '.', a letter or digit at both ends"
            raise self.wrong(key, f"{show(text)} is not a name: expected {expected}")
        return text

    def quantity(self, key: str) -> int | None:
        """A Kubernetes quantity in whole units; None when it is absent."""
        if key not in self.values:
            return None
        try:
            return amount(key, self.values[key])
        except ValueError as error:
            raise self.wrong(key, str(error)) from None

    def level(self, key: str) -> str | None:
        """The level that ``key`` names by its name or a node label key; None when it is absent."""
        return self._level(key, self.values[key]) if key in self.values else None

    def levels(self, required: str, preferred: str) -> TopologyRequest:
        """Both levels of one scope."""
        return TopologyRequest(required=self.level(required), preferred=self.level(preferred))

    def parallelism(self) -> Parallelism:
        """What the members send each other."""
        value = self.values.get(keys.PARALLELISM, Parallelism.PIPELINE)
        if value not in list(Parallelism):
            expected = ", ".join(Parallelism)
            raise self.wrong(
                keys.PARALLELISM, f"{show(value)} is unknown; expected one of {expected}"
            )
        return Parallelism(value)

    def gang_levels(self) -> TopologyRequest:
        """The levels of the gang.

        Who says nothing of them and sends from everybody to everybody prefers one NVLink or super-pod domain,
        where the fleet knows any: outside of it a card has 50 of 900 GB/s (facts topology-cache.md 4.2, 4.4).
        """
        found = self.levels(keys.GANG_TOPOLOGY_REQUIRED, keys.GANG_TOPOLOGY_PREFERRED)
        if found == TopologyRequest() and self.parallelism() in ALL_TO_ALL:
            return TopologyRequest(preferred=self.context.resolve(SCALE_UP))
        return found

    def _level(self, key: str, name: str) -> str:
        found = self.context.resolve(name)
        if found is None:
            known = ", ".join(self.context.levels)
            raise self.wrong(
                key,
                f"unknown level {show(name)}; known, outermost first: {known}, "
                "and every label key that a node has",
            )
        return found

    def slices(self, size: int) -> tuple[Slice, ...]:
        """``block:16,rack:4``: outermost first, each size a divisor of the one before it."""
        key = keys.TOPOLOGY_SLICES
        found: list[Slice] = []
        for part in self.values[key].split(",") if key in self.values else ():
            name, _, count = (piece.strip() for piece in part.rpartition(":"))
            number = whole(count)
            if not name or not number:
                raise self.wrong(key, f"{show(part)} is not LEVEL:SIZE, as in block:16,rack:4")
            one = Slice(level=self._level(key, name), size=number)
            outer = found[-1].size if found else size
            if outer % one.size:
                whole_ = f"slices of {outer}" if found else f"the {size} members of the role"
                raise self.wrong(key, f"slices of {one.size} do not divide {whole_}")
            order = self.context.levels.index
            if found and order(found[-1].level) >= order(one.level):
                message = f"{one.level} is not inside {found[-1].level}; outermost level first"
                raise self.wrong(key, message)
            found.append(one)
        return tuple(found)


def whole(text: str) -> int | None:
    """The number that some digits mean; None for anything else, a sign among it."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def show(value: str) -> str:
    """A value in quotes, shortened."""
    return repr(value if len(value) <= 60 else value[:57] + "...")
