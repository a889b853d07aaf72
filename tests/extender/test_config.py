"""Settings: what is wrong is named in one sentence, what is printed can be read back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender.config import Config, ConfigError, dump, load


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"gaurded": True}, "unknown setting 'gaurded'; known: "),
        ({"limits": {"abort": 1}}, "unknown setting limits.abort; known: abort_seconds, "),
        ({"policy": 3}, "policy: expected a mapping, not 3"),
        ({"guarded": 1}, "guarded: 1 is not a bool such as False"),
        ({"listen": 9443}, "listen: 9443 is not a str such as '0.0.0.0:9443'"),
        ({"barrier_seconds": "25"}, "barrier_seconds: '25' is not a float such as 25"),
        ({"barrier_seconds": True}, "barrier_seconds: True is not a float such as 25"),
        ({"lease_seconds": -1}, "lease_seconds: -1 is not a float such as 15"),
        ({"barrier_seconds": float("nan")}, "barrier_seconds: nan is not a float such as 25"),
        ({"kept_decisions": 1.5}, "kept_decisions: 1.5 is not a int such as 32"),
        ({"barrier_seconds": float("inf")}, "barrier_seconds: inf is not a float such as 25"),
        ({"policy": {"budget_seconds": 0.5}}, "policy.budget_seconds: 0.5 is not a int such as 4"),
        ({"tls_names": "a,b"}, "tls_names: 'a,b' is not a list such as ()"),
        ({"tls_names": [1]}, "tls_names: [1] is not a list such as ()"),
        ({"limits": {"abort_seconds": None}}, "limits.abort_seconds: None is not a "),
        ({"policy": {"rates": 3}}, "policy.rates: 3 is not a mapping of names to bytes per second"),
        ({"policy": {"rates": {"nvme": "6G"}}}, "policy.rates: {'nvme': '6G'} is not a mapping of"),
        ({"policy": {"origins": {"s3": 0}}}, "policy.origins.s3: 0 is no rate; it is above 0"),
        (
            {"policy": {"mixed_pairs": {}}},
            "policy.mixed_pairs: {} is not a list of prefill, decode",
        ),
        (
            {"policy": {"mixed_pairs": [{"prefill": "a", "decode": "b"}]}},
            "policy.mixed_pairs[0]: {'prefill': 'a', 'decode': 'b'} is not a mapping with the texts",
        ),
    ],
)
def test_a_wrong_setting_is_named(values: dict[str, Any], text: str) -> None:
    """One sentence: the key, what it is, what would be right."""
    with pytest.raises(ConfigError) as error:
        load(values)
    assert str(error.value).startswith(text)


seconds = st.floats(0, 1e6, allow_nan=False)
name = st.text(min_size=1)
pair = st.fixed_dictionaries({"prefill": name, "decode": name, "connector": name})


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "listen": st.text(),
            "guarded": st.booleans(),
            "tls_names": st.lists(st.text()),
            "barrier_seconds": seconds | st.integers(0, 100),
            "kept_decisions": st.integers(0, 100),
            "limits": st.fixed_dictionaries({}, optional={"abort_seconds": seconds}),
            "policy": st.fixed_dictionaries(
                {},
                optional={
                    "budget_seconds": st.integers(0, 9),
                    "mixed_pairs": st.lists(pair, max_size=2),
                    "rates": st.dictionaries(name, st.integers(1, 10**12), max_size=2),
                    "origins": st.dictionaries(name, st.integers(1, 10**12), max_size=2),
                },
            ),
        },
    )
)
def test_what_is_printed_can_be_read_back(values: dict[str, Any]) -> None:
    """``load(dump(c)) == c``, for the defaults and for everything that can be set."""
    config = load(values)
    assert load(dump(config)) == config
    assert load({}) == Config()
