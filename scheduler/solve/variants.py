"""What a gang consists of on each of its flavors: its own PodSets, or those of a variant."""

from __future__ import annotations

from dataclasses import replace

from scheduler.model import Code, Gang, Reason, Variant


def variant(gang: Gang, flavor: str | None) -> Variant | None:
    """The gang's variant for a flavor; None where its pods stay as they are."""
    return next((one for one in gang.variants if one.flavor == flavor), None)


def refusal(gang: Gang, flavor: str) -> Reason | None:
    """Why the gang cannot be written anew for a flavor; None also where it need not be."""
    found = variant(gang, flavor)
    if found is None or found.refusal is not None:
        return found.refusal if found is not None else None
    running = sum(len(podset.running) for podset in gang.podsets)
    if running:
        text = f"its pods would have to be made anew for it, and {running} of them run"
    elif not gang.min_members and not any(podset.min_count for podset in gang.podsets):
        text = "it counts as running without any member, so its pods are not made anew for it"
    else:
        return None
    return Reason(code=Code.PINNED_TO_RUNNING, message=text, numbers={"running": running})


def as_on(gang: Gang, flavor: str | None) -> Gang:
    """The gang with the PodSets and the minimum that it has on a flavor that it takes."""
    found = variant(gang, flavor)
    if found is None or not found.podsets:
        return gang
    return replace(gang, podsets=found.podsets, min_members=found.min_members, variants=())


def forms(gang: Gang) -> tuple[dict[str, int], tuple[Gang, ...]]:
    """The gang as it is and as each possible variant; for the flavors of variants, the index of theirs."""
    numbers: dict[str, int] = {}
    found = [gang]
    for flavor in gang.flavors:
        if variant(gang, flavor.name) is not None and refusal(gang, flavor.name) is None:
            numbers[flavor.name] = len(found)
            found.append(as_on(gang, flavor.name))
    return numbers, tuple(found)
