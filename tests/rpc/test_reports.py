"""Reports of nodes over real gRPC: who may send them, what is written, what comes out at the other end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
import yaml
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import given
from hypothesis import strategies as st

from extender.agent.stream import Reporter, Target, Timing
from extender.muster_v1 import topology_pb2 as pb
from extender.muster_v1.topology_pb2_grpc import TopologyServiceStub
from extender.reports import AUDIENCE, REFRESH_SECONDS, KubeReports
from extender.rpc import start_rpc
from extender.rpc_topology import as_json, as_message
from extender.tools.inputs import understand
from extender.tools.topology import topology_document
from scheduler.kube.client import KubeClient
from scheduler.policy import Policy
from scheduler.snapshot_json import dump
from scheduler.snapshot_json import load as load_snapshot
from simulations.controlplane.processes import free_ports
from tests.rpc.client import SECONDS, Code
from tests.rpc.reports import ACCOUNT, FakeApi
from tests.rpc.service import Values
from tests.scan.test_trees import JUNK, LEAVES
from tests.scan.trees import NAMES, load, put, scanned
from topology.keys import NVIDIA_COUNT, NVIDIA_GPU, NVIDIA_PRODUCT
from topology.scan.report import document, essence

PATH = "/apis/muster.dev/v1alpha1/nodetopologies"
STATUS = load("dead-link")["report"]


class Server:
    """The service's gRPC server beside an API server of values."""

    def __init__(self, api: FakeApi, address: str) -> None:
        self.api = api
        self.address = address
        self.now = 0.0
        self.missing: tuple[str, ...] = ()
        self.outcomes: list[str] = []

    def reports(self) -> KubeReports:
        """What takes the reports."""
        return KubeReports(
            cast("KubeClient", self.api),
            ACCOUNT,
            lambda: self.missing,
            self.outcomes.append,
            lambda: self.now,
        )


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    """A server on loopback."""
    server = Server(FakeApi(), f"127.0.0.1:{free_ports(1)[0]}")
    rpc = await start_rpc(Values(), server.address, None, reports=server.reports())
    try:
        async with asyncio.timeout(SECONDS):
            yield server
    finally:
        await rpc.stop(0)


async def send(
    server: Server, *requests: pb.ReportRequest, token: str | None = "agent@n1"
) -> list[bool]:
    """The answers to one stream."""
    metadata = () if token is None else (("authorization", f"Bearer {token}"),)
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub: Any = TopologyServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
        return [answer.changed async for answer in stub.Report(iter(requests), metadata=metadata)]


def on_server(do: Callable[[Server], Awaitable[None]]) -> None:
    """Run ``do`` beside a server."""

    async def run() -> None:
        async with serving() as server:
            await do(server)

    asyncio.run(run())


def test_a_report_becomes_a_node_topology() -> None:
    """Word for word what the agent measured, owned by the Node so that it goes with it."""

    async def do(server: Server) -> None:
        assert await send(server, as_message("n1", STATUS)) == [True]
        obj = server.api.objects[f"{PATH}/n1"]
        assert obj["status"] == STATUS
        assert obj["metadata"] == {
            "name": "n1",
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "uid-n1"}
            ],
        }
        assert server.api.reviewed == [{"token": "agent@n1", "audiences": [AUDIENCE]}]

    on_server(do)


def test_a_dead_link_shows_in_the_fleet() -> None:
    """From the host's files through the service to `muster topology`: the port, its rail, and the problem."""
    labels = {NVIDIA_PRODUCT: "NVIDIA-H100-80GB-HBM3", NVIDIA_COUNT: "8"}
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "n1", "labels": labels},
        "status": {"allocatable": {NVIDIA_GPU: "8"}},
    }

    async def do(server: Server) -> None:
        status = document(scanned(load("dead-link")["tree"]))
        await send(server, as_message("n1", status))
        inputs = understand([node, server.api.objects[f"{PATH}/n1"]])
        assert topology_document(inputs)["nodes"]["n1"]["problems"] == [
            "Node n1: LinkDown: mlx5_5 is DOWN, Polling; it should be ACTIVE, LinkUp",
            "Node n1: SlowLink: mlx5_10 runs at 200 Gb/s, its peers at 400 Gb/s",
        ]
        (state,) = inputs.snapshot.nodes
        down = [(nic.device, nic.rail) for nic in state.node.links if nic.compute and not nic.up]
        assert down == [("mlx5_5", 3)]
        assert load_snapshot(dump(inputs.snapshot, Policy()))[0] == inputs.snapshot, "it replays"

    on_server(do)


def test_only_what_is_new_is_written() -> None:
    """Times and free space alone are no news until the report on record is old."""
    later = {
        **STATUS,
        "collectedAt": "2026-11-21T12:00:30Z",
        "memory": {"totalBytes": STATUS["memory"]["totalBytes"]},
    }
    healed = {**later, "problems": []}

    async def do(server: Server) -> None:
        messages = [as_message("n1", status) for status in (STATUS, later, healed, healed)]
        assert await send(server, *messages) == [True, False, True, False]
        assert server.api.writes == 2
        server.now += REFRESH_SECONDS
        assert await send(server, as_message("n1", healed)) == [False]
        assert server.api.writes == 3
        assert server.outcomes == ["written", "unchanged", "written", "unchanged", "written"]
        server.api.uid = "recreated"
        assert await send(server, as_message("n1", healed)) == [True], (
            "the old object went with its Node"
        )
        assert server.api.writes == 4

    on_server(do)


@pytest.mark.parametrize(
    ("token", "node", "code", "text"),
    [
        (None, "n1", Code.UNAUTHENTICATED, "authorization is missing"),
        ("bad@n1", "n1", Code.UNAUTHENTICATED, "expired"),
        ("agent@n2", "n1", Code.PERMISSION_DENIED, "an agent on n2 cannot speak for node n1"),
        ("other@n1", "n1", Code.PERMISSION_DENIED, "not from system:serviceaccount:default:other"),
        ("agent", "n1", Code.PERMISSION_DENIED, "does not say on which node"),
        ("agent@n1", "", Code.INVALID_ARGUMENT, "node or report is empty"),
    ],
)
def test_an_agent_speaks_for_its_own_node_only(
    token: str | None, node: str, code: Code, text: str
) -> None:
    """No token, a bad one, another node's, another pod's, one that is bound to no node; and no name."""

    async def do(server: Server) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await send(server, as_message(node, STATUS), token=token)
        assert refused.value.code() is code
        assert text in (refused.value.details() or "")
        assert server.api.writes == 0

    on_server(do)


def test_a_server_that_cannot_write_says_so() -> None:
    """Not synced, or the API server is away: UNAVAILABLE, and the report counts as not taken."""

    async def do(server: Server) -> None:
        server.missing = ("not synced: Node",)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await send(server, as_message("n1", STATUS))
        assert (refused.value.code(), refused.value.details()) == (
            Code.UNAVAILABLE,
            "not synced: Node",
        )
        server.missing = ()
        server.api.failing = True
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await send(server, as_message("n1", STATUS))
        assert refused.value.code() is Code.UNAVAILABLE
        server.api.failing = False
        assert await send(server, as_message("n1", STATUS)) == [True]
        assert server.outcomes == ["failed", "written"]

    on_server(do)


def test_the_agent_reports_changes_and_comes_back(tmp_path: Path) -> None:
    """No token yet, an expired one, streams that end, a link that heals: written once per change."""
    states = [STATUS]
    token = tmp_path / "token"

    async def collect() -> dict[str, Any]:
        return dict(states[-1])

    async def do(server: Server) -> None:
        agent = Reporter(
            "n1",
            collect,
            Target(address=server.address, token=token),
            Timing(scan=0.01, refresh=60, stream=0.2, first_wait=0.01),
        )
        task = asyncio.create_task(agent.run())
        await asyncio.sleep(0.05)
        token.write_text("bad@n1\n")
        await until(lambda: bool(server.api.reviewed))
        assert server.api.writes == 0, "no token first, then an expired one"
        token.write_text("agent@n1\n")
        await until(lambda: server.api.writes == 1)
        await asyncio.sleep(0.5)
        assert server.api.writes == 1 and len(server.api.reviewed) > 2, (
            "streams end, nothing is new"
        )
        states.append({**STATUS, "problems": []})
        await until(lambda: "problems" not in server.api.objects[f"{PATH}/n1"]["status"])
        task.cancel()
        await asyncio.wait([task])

    on_server(do)


async def until(reached: Callable[[], bool]) -> None:
    """Return once ``reached``."""
    for _ in range(100 * SECONDS):
        if reached():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not reached")


@given(st.data())
def test_every_report_survives_the_wire(data: st.DataObject) -> None:
    """Whatever is found on a host, mangled or not, protobuf takes it and gives it back."""
    name = data.draw(st.sampled_from(NAMES))
    tree = load(name)["tree"]
    for path in data.draw(st.lists(st.sampled_from(LEAVES[name]), max_size=3, unique=True)):
        tree = put(tree, path, data.draw(JUNK | st.just("9" * 18)))
    status = document(scanned(tree, *load(name).get("models", ())))
    assert as_json(as_message("n", status).report) == status
    assert essence(essence(status)) == essence(status)


def test_the_definition_has_exactly_the_fields_of_the_message() -> None:
    """What an agent can send the API server keeps, and the other way: nothing is pruned in silence."""
    manifest = Path(__file__).parents[2] / "manifests/crds.yaml"
    (definition,) = (
        d
        for d in yaml.safe_load_all(manifest.read_text())
        if d["metadata"]["name"].startswith("nodet")
    )
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert fields(schema["properties"]["status"]) == of_message(pb.NodeReport.DESCRIPTOR)


NAMES_OF_TYPES = {
    FieldDescriptor.CPPTYPE_INT64: "integer",
    FieldDescriptor.CPPTYPE_DOUBLE: "number",
    FieldDescriptor.CPPTYPE_STRING: "string",
    FieldDescriptor.CPPTYPE_BOOL: "boolean",
}


def fields(schema: dict[str, Any]) -> Any:
    """Names and types of an OpenAPI schema."""
    if schema["type"] == "array":
        return [fields(schema["items"])]
    if schema["type"] == "object":
        return {name: fields(item) for name, item in schema["properties"].items()}
    return schema["type"]


def of_message(descriptor: Any) -> Any:
    """The same of a protobuf message."""
    found = {}
    for field in descriptor.fields:
        kind = (
            of_message(field.message_type) if field.message_type else NAMES_OF_TYPES[field.cpp_type]
        )
        found[field.camelcase_name] = [kind] if field.is_repeated else kind
    return found
