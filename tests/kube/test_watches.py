"""What is watched, and what its reflectors say together."""

from __future__ import annotations

import asyncio
from pathlib import Path

from scheduler.kube.reflector import Counters
from scheduler.kube.resources import CONFIG_MAPS, SYSTEM_NAMESPACE
from scheduler.kube.watches import Watches, standard_sources
from tests.kube.fake_api import FakeApi, serving


def test_config_maps_of_others_are_read_only_where_it_is_asked_for() -> None:
    """Muster's own documents always; lists of device plugins with ``card_lists``."""

    def namespaces(*, card_lists: bool) -> list[str | None]:
        sources = standard_sources("m", card_lists=card_lists)
        return [source.namespace for source in sources if source.resource is CONFIG_MAPS]

    assert namespaces(card_lists=False) == ["m"]
    assert namespaces(card_lists=True) == ["m", SYSTEM_NAMESPACE]


def test_two_sources_of_one_kind_are_counted_together(tmp_path: Path) -> None:
    """The metrics have one series for each kind."""

    async def main() -> dict[str, Counters]:
        async with serving(FakeApi(), tmp_path) as client:
            watches = Watches(client, lambda *_: None, standard_sources("m", card_lists=True))
            maps = [r for r in watches.reflectors if r.source.resource is CONFIG_MAPS]
            for number, reflector in enumerate(maps, start=1):
                reflector.counters.lists = number
                reflector.counters.events = 10 * number
            return watches.counters()

    found = asyncio.run(main())
    assert found["ConfigMap"] == Counters(lists=3, events=30)
    assert found["Node"] == Counters()
