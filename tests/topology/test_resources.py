"""Quantities and resource vectors are those of Kubernetes, exact to its unit."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topology.resources import MAX_AMOUNT, Resources, amount, parse_quantity

MAX = 2**63 - 1

KNOWN: list[tuple[object, Fraction | int]] = [
    # from the table of suffixes in k8s.io/apimachinery/pkg/api/resource
    ("0", 0),
    ("8", 8),
    (8, 8),
    ("+8", 8),
    ("-8", -8),
    ("100m", Fraction(1, 10)),
    ("1.5", Fraction(3, 2)),
    (1.5, Fraction(3, 2)),
    (".5", Fraction(1, 2)),
    ("5.", 5),
    ("1k", 1000),
    ("1M", 10**6),
    ("1G", 10**9),
    ("1T", 10**12),
    ("1P", 10**15),
    ("1E", 10**18),
    ("1Ki", 1024),
    ("1.5Gi", 3 * 2**29),
    ("1Ei", 2**60),
    ("1u", Fraction(1, 10**6)),
    ("1n", Fraction(1, 10**9)),
    # an exponent, and exa, which looks like one
    ("1e3", 1000),
    ("1E3", 1000),
    ("12e6", 12 * 10**6),
    ("1e-3", Fraction(1, 1000)),
    ("1E-2", Fraction(1, 100)),
    # more than 63 bits saturate
    ("16Ei", MAX),
    ("1e30", MAX),
    ("9223372036854775808", MAX),
    ("-16Ei", -MAX),
]


@pytest.mark.parametrize(("text", "value"), KNOWN)
def test_known_quantities(text: object, value: Fraction | int) -> None:
    """Suffixes, exponents, signs and saturation as in ``k8s.io/apimachinery``."""
    assert parse_quantity(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "x", "1x", "1 G", "1KI", "1ki", "1mi", "1e", "1e3k", "--1", "1,5", "0x10", "1_000", "٣", "1e1000",
     "1" * 65, "NaN", "inf", True, None, [], {}, float("nan"), float("inf"), b"1"],
)  # fmt: skip
def test_what_is_no_quantity(text: object) -> None:
    """It is a ValueError that shows the text."""
    with pytest.raises(ValueError, match="is not a quantity"):
        parse_quantity(text)


@pytest.mark.parametrize(
    ("resource", "text", "units"),
    [
        ("cpu", "1", 1000),
        ("cpu", "500m", 500),
        ("cpu", "0.1m", 1),  # rounded up to the milli-cpu
        ("cpu", "1n", 1),
        ("memory", "1Gi", 2**30),
        ("memory", "1m", 1),  # rounded up to the byte
        ("memory", "1500m", 2),
        ("nvidia.com/gpu", "8", 8),
        ("nvidia.com/gpu", "0", 0),
        ("memory", "9E", MAX_AMOUNT),
        ("cpu", "9E", MAX_AMOUNT),
    ],
)
def test_amounts_are_in_the_units_of_kube_scheduler(resource: str, text: str, units: int) -> None:
    """Milli-cpu, else whole units, rounded up (``Quantity.MilliValue`` and ``Quantity.Value``)."""
    assert amount(resource, text) == units


def test_a_negative_amount_is_an_error() -> None:
    """No resource is requested or offered less than not at all."""
    with pytest.raises(ValueError, match="'-1' is negative"):
        amount("memory", "-1")


NUMBERS = st.decimals(min_value=0, max_value=10**6, places=3)


@given(number=NUMBERS, suffix=st.sampled_from(["", "k", "M", "Ki", "Mi", "m"]))
def test_a_quantity_means_number_times_suffix(number: object, suffix: str) -> None:
    """Exactly, without a float in between."""
    scales: dict[str, Fraction | int] = {
        "": 1,
        "k": 1000,
        "M": 10**6,
        "Ki": 1024,
        "Mi": 2**20,
        "m": Fraction(1, 1000),
    }
    assert parse_quantity(f"{number}{suffix}") == Fraction(str(number)) * Fraction(scales[suffix])


@given(number=NUMBERS)
def test_rounding_is_up_and_less_than_one_unit(number: object) -> None:
    """An amount is the least whole number of units that is enough."""
    exact = Fraction(str(number))
    assert 0 <= amount("memory", str(number)) - exact < 1
    assert 0 <= Fraction(amount("cpu", str(number)), 1000) - exact < Fraction(1, 1000)


@given(st.text())
def test_any_text_is_a_quantity_or_a_value_error(text: str) -> None:
    """Nothing else is raised."""
    try:
        value = parse_quantity(text)
    except ValueError:
        return
    assert -MAX <= value <= MAX


NAMES = st.sampled_from(["cpu", "memory", "pods", "nvidia.com/gpu"])
VECTORS = st.dictionaries(NAMES, st.integers(-100, 100)).map(Resources)
REQUESTS = st.dictionaries(NAMES, st.integers(0, 20)).map(Resources)


@given(one=VECTORS, other=VECTORS)
def test_vectors_add_and_subtract(one: Resources, other: Resources) -> None:
    """Name by name; a name that is absent is zero."""
    assert one + other == other + one
    assert (one + other) - other == one
    assert all((one - other)[name] == one[name] - other[name] for name in ("cpu", "pods"))


@given(one=VECTORS, zeros=st.sets(NAMES))
def test_zero_and_absent_are_the_same(one: Resources, zeros: set[str]) -> None:
    """Also for sets and dictionaries of vectors."""
    padded = Resources({**dict.fromkeys(zeros, 0), **one.amounts})
    assert padded == one and hash(padded) == hash(one)


@given(free=VECTORS, request=REQUESTS, limit=st.integers(0, 9))
def test_fitting_means_that_nothing_is_short(
    free: Resources, request: Resources, limit: int
) -> None:
    """``fits``, ``shortfall`` and ``times_fits`` say the same."""
    assert free.fits(request) == (free.shortfall(request) == Resources())
    times = free.times_fits(request, limit)
    assert times <= limit
    assert times == 0 or free.fits(request * times)
    assert times == limit or not free.fits(request * (times + 1))


def test_a_zero_request_fits_everywhere() -> None:
    """As in kube-scheduler, also on a node that is over-committed."""
    assert Resources({"cpu": -5}).fits(Resources({"cpu": 0}))


def test_quantities_are_read_back() -> None:
    """Cpu is written in thousandths, so that nothing is lost."""
    vector = Resources({"cpu": 1500, "memory": 2**33, "nvidia.com/gpu": 8})
    assert vector.quantities() == {
        "cpu": "1500m",
        "memory": "8589934592",
        "nvidia.com/gpu": "8",
    }
    assert Resources.parse(vector.quantities()) == vector


def test_parse_names_the_resource() -> None:
    """A resource list with a mistake says where."""
    assert Resources.parse({"cpu": "1", "pods": 3}) == Resources({"cpu": 1000, "pods": 3})
    with pytest.raises(ValueError, match="memory: 'lots' is not a quantity"):
        Resources.parse({"cpu": "1", "memory": "lots"})
