"""The user's journey: somebody knows the name of a model and nothing else."""

from __future__ import annotations

import pytest

from tests.e2e.workload_rig import WorkloadRig

pytestmark = pytest.mark.e2e


def models(work: WorkloadRig, name: str, replicas: int) -> list[str]:
    """The model of cards under each replica, by index."""
    return [next(iter(work.models_of(f"{name}-{index}"))) for index in range(replicas)]


@pytest.mark.timeout(180)
def test_a_playground_takes_the_flavors_in_order(work: WorkloadRig) -> None:
    """Flavors [a10, a100, 4090], eight cards of each: six replicas on a10; then 1 -> 20 -> 3."""
    for model in ("a10", "a100", "4090"):
        work.cards(model)
    model = work.model("llama", "a10", "a100", "4090")
    work.apply(work.playground("chat", model, 6))
    for index in range(6):
        work.wait_bound(f"chat-{index}", 1)
    assert models(work, "chat", 6) == ["a10"] * 6

    def scaled(replicas: int) -> None:
        work.kubectl("scale", "playgrounds.inference.llmaz.io", "chat", f"--replicas={replicas}")

        def there() -> bool:
            return len(work.places()) == len(work.pods()) == replicas

        work.cluster.api.wait_for(f"{replicas} replicas", there, every=0.1)

    scaled(1)
    assert models(work, "chat", 1) == ["a10"]
    scaled(20)
    found = models(work, "chat", 20)
    assert {name: found.count(name) for name in found} == {"a10": 8, "a100": 8, "4090": 4}
    scaled(3)
    assert models(work, "chat", 3) == ["a10"] * 3, (
        "what is given up is what stood on the worst cards"
    )
    gangs = work.kubectl("get", "gangs")
    assert gangs.count("a10") == 3 and "chat-0" in gangs
