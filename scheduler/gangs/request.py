"""Reading single request annotations: each wrong value is one sentence naming object and field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scheduler import keys
from scheduler.gangs.context import Context
from scheduler.model import Slice
from scheduler.pods import Pod
from topology.resources import amount


class RequestError(Exception):
    """A gang's request is wrong; the text names the pod and the field."""

    def __init__(self, pods: Sequence[Pod], field: str, message: str) -> None:
        carrier = next((pod for pod in pods if field in pod.annotations), pods[0])
        super().__init__(f"Pod {carrier.namespace}/{carrier.name}: {field}: {message}")


def at_least(
    least: int, pods: Sequence[Pod], asked: Mapping[str, str], key: str
) -> int | None:
    """The whole number of ``key``, at least ``least``; None when it is absent."""
    if key not in asked:
        return None
    text = asked[key].strip()
    number = text.removeprefix("+")
    if not number.isascii() or not number.isdigit() or len(number) > 9 or int(number) < least:
        raise RequestError(pods, key, f"{show(text)} is not a whole number from {least} up")
    return int(number)


def names(pods: Sequence[Pod], asked: Mapping[str, str], key: str) -> tuple[str, ...]:
    """A comma separated list of names, in order; empty when it is absent."""
    if key not in asked:
        return ()
    parts = tuple(part.strip() for part in asked[key].split(","))
    if not all(parts):
        raise RequestError(pods, key, f"{show(asked[key])} has an empty name; expected a,b,c")
    return parts


def level(
    pods: Sequence[Pod], asked: Mapping[str, str], key: str, context: Context
) -> str | None:
    """The level that ``key`` names by its name or a node label key; None when it is absent."""
    if key not in asked:
        return None
    return _resolved(pods, key, asked[key].strip(), context)


def _resolved(pods: Sequence[Pod], key: str, name: str, context: Context) -> str:
    found = context.resolve(name)
    if found is None:
        known = ", ".join(context.levels)
        raise RequestError(
            pods, key, f"level {show(name)} is unknown; known levels, outermost first: {known}"
        )
    return found


def slices(
    pods: Sequence[Pod], asked: Mapping[str, str], size: int, context: Context
) -> tuple[Slice, ...]:
    """``block:16,rack:4``: outermost first, each size a divisor of the one before it."""
    key = keys.TOPOLOGY_SLICES
    if key not in asked:
        return ()
    found: list[Slice] = []
    for part in asked[key].split(","):
        name, colon, count = (piece.strip() for piece in part.rpartition(":"))
        if not colon or not count.isascii() or not count.isdigit() or int(count) < 1:
            raise RequestError(pods, key, f"{show(part)} is not LEVEL:SIZE, as in block:16,rack:4")
        one = Slice(level=_resolved(pods, key, name, context), size=int(count))
        outer = found[-1].size if found else size
        if outer % one.size:
            of = f"slices of {outer}" if found else f"the {size} members of the role"
            raise RequestError(pods, key, f"slices of {one.size} do not divide {of}")
        if found and context.levels.index(found[-1].level) >= context.levels.index(one.level):
            raise RequestError(
                pods, key, f"{one.level} is not inside {found[-1].level}; outermost level first"
            )
        found.append(one)
    return tuple(found)


def quantity(pods: Sequence[Pod], asked: Mapping[str, str], key: str) -> int | None:
    """A Kubernetes quantity in whole units; None when it is absent."""
    if key not in asked:
        return None
    try:
        return amount(key, asked[key])
    except ValueError as error:
        raise RequestError(pods, key, str(error)) from None


def show(value: str) -> str:
    """A value in quotes, shortened."""
    return repr(value if len(value) <= 60 else value[:57] + "...")
