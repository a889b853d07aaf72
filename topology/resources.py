"""Kubernetes quantities and resource vectors, exact to the unit that kube-scheduler uses.

kube-scheduler compares cpu in thousandths (``Quantity.MilliValue``) and every other resource in whole
units (``Quantity.Value``); both round *up*. A vector here holds exactly these integers, so a sum in
Muster equals the sum in kube-scheduler and no float is involved.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache

CPU = "cpu"
MEMORY = "memory"
PODS = "pods"

# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_SUFFIX: Mapping[str, Fraction] = {
    "": Fraction(1),
    **{s: Fraction(1024) ** (i + 1) for i, s in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"))},
    **{s: Fraction(1000) ** (i + 1) for i, s in enumerate(("k", "M", "G", "T", "P", "E"))},
    "m": Fraction(1, 10**3),
    "u": Fraction(1, 10**6),
    "n": Fraction(1, 10**9),
}
_QUANTITY = re.compile(
    r"([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d{1,3})|([numkMGTPE]|[KMGTPE]i)?)", re.ASCII
)
# The API server keeps quantities below 2**63; a longer text is never valid and costs time to parse.
_MAX_TEXT = 64
_MAX_VALUE = 2**63 - 1

MAX_AMOUNT = 2**53
"""Larger amounts count as this one: 8 PiB, or 9 * 10**12 cores. No node has as much, and thousands of them
add up to less than 63 bits, so that one absurd request cannot overflow the solver's integers."""


def parse_quantity(text: object) -> Fraction:
    """The exact value of a Kubernetes quantity such as ``"500m"``, ``"16Gi"``, ``"1e3"`` or ``8``.

    Raises ``ValueError`` with the offending text when it is not a quantity. Values beyond 63 bits
    saturate, as they do in ``k8s.io/apimachinery``.
    """
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        raise ValueError(f"{text!r} is not a quantity")
    shown = str(text).strip()
    matched = _QUANTITY.fullmatch(shown) if len(shown) <= _MAX_TEXT else None
    if matched is None:
        raise ValueError(f"{shown[:_MAX_TEXT]!r} is not a quantity such as 500m, 16Gi or 8")
    number, exponent, suffix = matched.groups()
    scale = Fraction(10) ** int(exponent) if exponent else _SUFFIX[suffix or ""]
    return max(min(Fraction(number) * scale, Fraction(_MAX_VALUE)), Fraction(-_MAX_VALUE))


def amount(resource: str, quantity: object) -> int:
    """``quantity`` of ``resource`` in kube-scheduler's unit: milli-cpu, else whole units, rounded up.

    At most ``MAX_AMOUNT``. Raises ``ValueError`` when it is not a quantity or is negative.
    """
    # Nodes and pods are made from a few templates: the same texts come again and again.
    if isinstance(quantity, str):
        return _amount_of_text(resource, quantity)
    return _amount(resource, quantity)


def _amount(resource: str, quantity: object) -> int:
    value = parse_quantity(quantity)
    if value < 0:
        raise ValueError(f"{quantity!r} is negative")
    if resource == CPU:
        value *= 1000
    return min(-((-value.numerator) // value.denominator), MAX_AMOUNT)


@lru_cache(maxsize=8192)
def _amount_of_text(resource: str, quantity: str) -> int:
    return _amount(resource, quantity)


@dataclass(frozen=True, slots=True)
class Resources:
    """A vector of named amounts in kube-scheduler's units; a name that is absent counts as zero.

    Amounts may be negative (a node that is over-committed has negative free capacity).
    """

    amounts: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, quantities: Mapping[str, object]) -> Resources:
        """Read a Kubernetes resource list. Raises ``ValueError`` naming the resource that is wrong."""
        amounts = {}
        for name in sorted(quantities):
            try:
                amounts[name] = amount(name, quantities[name])
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return cls(amounts)

    def quantities(self) -> dict[str, str]:
        """As a Kubernetes resource list, the inverse of ``parse``: cpu in thousandths, all else in ones."""
        return {name: f"{self[name]}{'m' if name == CPU else ''}" for name in self}

    @classmethod
    def sum(cls, vectors: Iterable[Resources]) -> Resources:
        """The sum of any number of vectors."""
        total: dict[str, int] = {}
        for vector in vectors:
            for name, value in vector.amounts.items():
                total[name] = total.get(name, 0) + value
        return cls(total)

    def __getitem__(self, name: str) -> int:
        return self.amounts.get(name, 0)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self.amounts))

    def __add__(self, other: Resources) -> Resources:
        return Resources.sum((self, other))

    def __sub__(self, other: Resources) -> Resources:
        return Resources.sum((self, other * -1))

    def __mul__(self, times: int) -> Resources:
        return Resources({name: value * times for name, value in self.amounts.items()})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Resources) and self._nonzero() == other._nonzero()

    def __hash__(self) -> int:
        return hash(frozenset(self._nonzero().items()))

    def _nonzero(self) -> dict[str, int]:
        return {name: value for name, value in self.amounts.items() if value}

    def shortfall(self, request: Resources) -> Resources:
        """What is missing here to serve ``request``; empty when it fits."""
        return Resources(
            {
                name: need - self[name]
                for name, need in request.amounts.items()
                if need > 0 and need > self[name]
            }
        )

    def fits(self, request: Resources) -> bool:
        """Whether ``request`` can be served; a zero request always fits, as in kube-scheduler."""
        return all(need <= 0 or need <= self[name] for name, need in request.amounts.items())

    def times_fits(self, request: Resources, limit: int) -> int:
        """How many times ``request`` can be served, at most ``limit``."""
        count = limit
        for name, need in request.amounts.items():
            if need > 0:
                count = min(count, self[name] // need)
        return max(count, 0)
