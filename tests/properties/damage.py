"""Damage to objects of a cluster, as any hand or program may do it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from tests.objects import Object
from tests.properties.test_parsers import JSON, WORDS


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at] if at else []
    items: Any = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    for key, inner in items:
        found += _places(inner, (*at, key))
    return found


@st.composite
def damaged(draw: st.DrawFn, whole: Sequence[Object]) -> list[Object]:
    """Copies in the same order, two of them with up to three values replaced or taken out.

    Kind and version stay: they say who reads the object.
    """
    objects = copy.deepcopy(list(whole))
    for obj in draw(st.lists(st.sampled_from(objects), max_size=2)):
        for _ in range(draw(st.integers(1, 3))):
            places = [p for p in _places(obj) if p not in (("kind",), ("apiVersion",))]
            if not places:
                break
            *way, last = draw(st.sampled_from(places))
            inner: Any = obj
            for key in way:
                inner = inner[key]
            if draw(st.booleans()):
                inner[last] = draw(JSON | WORDS)
            else:
                del inner[last]
    return objects
