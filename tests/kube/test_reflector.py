"""The reflector against a scripted server: nothing that happened is missed, whatever breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scheduler.kube.reflector import Counters, Reflector, Source, Timing, Verb
from scheduler.kube.resources import PODS, TOPOLOGIES
from tests.kube.fake_api import (
    HANG,
    RESET,
    FakeApi,
    bookmark,
    event,
    expired,
    page,
    pod,
    refuse,
    reply,
    serving,
    stream,
)

FAST = Timing(idle=0.3, first_backoff=0.005, last_backoff=0.02, poll=0.02)
UNFINISHED_PODS = Source(resource=PODS, query={"fieldSelector": "status.phase!=Failed"})

Seen = list[tuple[str, ...]]


def observe(
    folder: Path,
    api: FakeApi,
    count: int,
    source: Source = UNFINISHED_PODS,
    timing: Timing = FAST,
) -> tuple[Seen, Counters]:
    """Run a reflector until it has reported ``count`` times: (verb, name, uid) each, and its counters."""

    async def main() -> tuple[Seen, Counters]:
        seen: Seen = []
        enough = asyncio.Event()

        def emit(kind: str, verb: Verb, obj: Mapping[str, Any]) -> None:
            assert kind == source.resource.kind
            metadata = obj.get("metadata")
            seen.append((verb, metadata["name"], metadata["uid"]) if metadata else (verb,))
            if len(seen) >= count:
                enough.set()

        async with serving(api, folder) as client:
            reflector = Reflector(client, source, emit, timing)
            task = asyncio.create_task(reflector.run())
            try:
                async with asyncio.timeout(20):
                    await enough.wait()
                    await asyncio.sleep(0.05)  # what must not come would come now
            finally:
                task.cancel()
                await asyncio.wait([task])
        return seen, reflector.counters

    return asyncio.run(main())


def test_a_streamed_list_is_followed_by_changes_on_the_same_connection(
    tmp_path: Path,
) -> None:
    """Everything that exists is reported, then SYNCED, then changes; one request does both."""
    api = FakeApi(
        stream(
            event("ADDED", pod("a", 5)),
            bookmark(9, end=True),
            event("MODIFIED", pod("a", 10)),
            event("ADDED", pod("b", 11)),
            event("DELETED", pod("a", 12)),
            HANG,
        )
    )
    seen, counters = observe(tmp_path, api, 5)
    assert seen == [
        ("ADDED", "a", "uid-a"),
        ("SYNCED",),
        ("MODIFIED", "a", "uid-a"),
        ("ADDED", "b", "uid-b"),
        ("DELETED", "a", "uid-a"),
    ]
    assert counters == Counters(lists=1, reconnects=0, errors=0, events=5)
    query = dict(api.requests[0].query)
    assert 300 <= int(query.pop("timeoutSeconds")) <= 600
    assert query == {
        "watch": "true",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "resourceVersion": "",
        "allowWatchBookmarks": "true",
        "fieldSelector": "status.phase!=Failed",
    }


def test_a_line_may_come_in_any_number_of_pieces(tmp_path: Path) -> None:
    """The network cuts anywhere: inside a line, and several lines in one piece."""
    whole = event("ADDED", pod("a", 1)) + event("ADDED", pod("b", 2)) + bookmark(3, end=True)
    api = FakeApi(stream(whole[:7], whole[7:90], whole[90:91], whole[91:], HANG))
    seen, _ = observe(tmp_path, api, 3)
    assert [step[0] for step in seen] == ["ADDED", "ADDED", "SYNCED"]


def test_a_clean_end_resumes_after_the_last_bookmark(tmp_path: Path) -> None:
    """The server ends watches now and then: no new list, and no event twice."""
    api = FakeApi(
        stream(event("ADDED", pod("a", 5)), bookmark(9, end=True), bookmark(40)),
        stream(event("MODIFIED", pod("a", 41)), HANG),
    )
    seen, counters = observe(tmp_path, api, 3)
    assert seen[2:] == [("MODIFIED", "a", "uid-a")]
    assert api.queries("resourceVersion") == ["", "40"]
    assert (counters.lists, counters.reconnects, counters.errors) == (1, 1, 0)


def test_after_410_the_new_list_is_compared_with_what_is_known(tmp_path: Path) -> None:
    """Changes, deletions and re-creations that happened unseen are all reported, and nothing else."""
    first = [pod(name, 1) for name in ("same", "changed", "gone", "again")]
    second = [
        pod("same", 1),
        pod("changed", 20),
        pod("again", 21, "other"),
        pod("new", 22),
    ]
    api = FakeApi(
        stream(*(event("ADDED", obj) for obj in first), bookmark(9, end=True), expired()),
        refuse(410, "Expired"),
        stream(*(event("ADDED", obj) for obj in second), bookmark(30, end=True), HANG),
    )
    seen, counters = observe(tmp_path, api, 11)
    assert seen[5:] == [
        ("MODIFIED", "changed", "uid-changed"),
        ("DELETED", "again", "uid-again"),
        ("ADDED", "again", "other"),
        ("ADDED", "new", "uid-new"),
        ("DELETED", "gone", "uid-gone"),
        ("SYNCED",),
    ]
    assert counters.lists == 2


def test_without_streamed_lists_it_reads_pages(tmp_path: Path) -> None:
    """An API server that refuses ``sendInitialEvents`` is listed in pages of 500."""
    api = FakeApi(
        refuse(422, "Invalid"),
        page(7, pod("a", 1), token="next"),
        page(7, pod("b", 2)),
        stream(event("DELETED", pod("a", 8)), HANG),
    )
    seen, _ = observe(tmp_path, api, 4)
    assert [step[:2] for step in seen] == [
        ("ADDED", "a"),
        ("ADDED", "b"),
        ("SYNCED",),
        ("DELETED", "a"),
    ]
    assert api.queries("limit") == [None, "500", "500", None]
    assert api.queries("continue") == [None, None, "next", None]
    assert api.requests[3].query["resourceVersion"] == "7"


def test_an_expired_page_token_begins_the_list_again(tmp_path: Path) -> None:
    """The second half of an old list is never put to the first half of a new one."""
    api = FakeApi(
        refuse(400, "BadRequest"),
        page(7, pod("a", 1), token="next"),
        refuse(410, "Expired"),
        page(9, pod("b", 8)),
    )
    seen, _ = observe(tmp_path, api, 3)
    assert [step[:2] for step in seen] == [("ADDED", "a"), ("ADDED", "b"), ("SYNCED",)]
    assert api.queries("continue")[:4] == [None, None, "next", None]


def test_a_silent_connection_is_dropped_and_resumed(tmp_path: Path) -> None:
    """A half-open connection gives neither events nor an end: silence for ``idle`` seconds ends it."""
    api = FakeApi(
        stream(event("ADDED", pod("a", 5)), bookmark(9, end=True), HANG),
        stream(event("MODIFIED", pod("a", 10)), HANG),
    )
    seen, counters = observe(tmp_path, api, 3)
    assert seen[2] == ("MODIFIED", "a", "uid-a")
    assert api.queries("resourceVersion")[:2] == ["", "9"]
    assert counters.errors >= 1


def test_a_connection_that_breaks_inside_a_line_is_resumed(tmp_path: Path) -> None:
    """Half a line is no event; the whole one comes again after reconnecting."""
    line = event("MODIFIED", pod("a", 10))
    api = FakeApi(
        stream(event("ADDED", pod("a", 5)), bookmark(9, end=True), line[:20], RESET),
        stream(line, HANG),
    )
    seen, counters = observe(tmp_path, api, 3)
    assert seen[2] == ("MODIFIED", "a", "uid-a")
    assert (counters.lists, counters.errors) == (1, 1)


def test_a_line_that_is_no_event_is_read_again_from_the_last_version(
    tmp_path: Path,
) -> None:
    """Garbage from a proxy does not end the watch for good."""
    api = FakeApi(
        stream(bookmark(9, end=True), b"<html>\n", HANG),
        stream(event("ADDED", pod("a", 10)), HANG),
    )
    seen, _ = observe(tmp_path, api, 2)
    assert seen == [("SYNCED",), ("ADDED", "a", "uid-a")]


def test_an_unfinished_list_is_no_list(tmp_path: Path) -> None:
    """A list that ends before its end mark deletes nothing and reports no SYNCED."""
    api = FakeApi(
        stream(event("ADDED", pod("a", 5))),
        refuse(500, "InternalError"),
        stream(
            event("ADDED", pod("a", 5)),
            event("ADDED", pod("b", 6)),
            bookmark(9, end=True),
            HANG,
        ),
    )
    seen, counters = observe(tmp_path, api, 3)
    assert [step[0] for step in seen] == ["ADDED", "ADDED", "SYNCED"]
    assert (counters.lists, counters.errors) == (3, 2)


def test_an_optional_resource_may_appear_and_disappear(tmp_path: Path) -> None:
    """Without the CRD it is synced and empty; it is watched in the first version that is served; when the
    CRD goes its objects go."""
    served = reply({"resources": [{"name": "topologies"}]})
    none = refuse(404, "NotFound")
    api = FakeApi(
        *(none, none, none),
        *(none, served, stream(event("ADDED", pod("t", 5)), bookmark(9, end=True))),
        none,
        *(none, none, none),
    )
    seen, _ = observe(tmp_path, api, 5, Source(resource=TOPOLOGIES, optional=True))
    assert [step[:2] for step in seen] == [
        ("SYNCED",),
        ("ADDED", "t"),
        ("SYNCED",),
        ("DELETED", "t"),
        ("SYNCED",),
    ]
    assert "/v1beta1/topologies" in api.requests[5].path
