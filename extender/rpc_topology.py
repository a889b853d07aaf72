"""gRPC: ``muster.v1.TopologyService``. Checks who speaks, converts, hands on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, NoReturn

import grpc
import structlog
from google.protobuf import json_format
from google.protobuf.message import Message

from extender.muster_v1 import topology_pb2 as pb
from extender.muster_v1 import topology_pb2_grpc as pb_grpc
from extender.reports import Refused, Reports, Speaker
from scheduler.kube.client import ApiError
from topology.scan.report import camel

log = structlog.get_logger("muster.rpc")

SERVICE: str = pb.DESCRIPTOR.services_by_name["TopologyService"].full_name
_BEARER = "Bearer "
_CODE = grpc.StatusCode

Context = grpc.aio.ServicerContext[Any, Any]


class Topology(pb_grpc.TopologyServiceServicer):
    """The servicer."""

    def __init__(self, reports: Reports) -> None:
        self._reports = reports

    async def Report(  # noqa: N802 - the name in the .proto
        self, requests: AsyncIterator[pb.ReportRequest], context: Context
    ) -> AsyncIterator[pb.ReportResponse]:
        """One answer for each report; see the proto."""
        missing = self._reports.not_ready()
        if missing:
            await _abort(context, _CODE.UNAVAILABLE, "; ".join(missing))
        try:
            speaker = await self._speaker(context)
            async for request in requests:
                await _checked(request, speaker, context)
                status = as_json(request.report)
                yield pb.ReportResponse(changed=await self._reports.take(speaker, status))
        except ApiError as error:
            log.warning("report not taken", error=str(error))
            await _abort(context, _CODE.UNAVAILABLE, f"the API server does not take it: {error}")

    async def _speaker(self, context: Context) -> Speaker:
        metadata = {str(key): value for key, value in context.invocation_metadata() or ()}
        header = metadata.get("authorization", "")
        token = header.removeprefix(_BEARER) if isinstance(header, str) else ""
        if not token or token == header:
            await _abort(
                context,
                _CODE.UNAUTHENTICATED,
                "the metadata authorization is missing: expected Bearer and a token",
            )
        try:
            return await self._reports.identify(token)
        except Refused as error:
            code = _CODE.PERMISSION_DENIED if error.known else _CODE.UNAUTHENTICATED
            await _abort(context, code, str(error))


async def _checked(request: pb.ReportRequest, speaker: Speaker, context: Context) -> None:
    if not request.node or not request.HasField("report"):
        await _abort(context, _CODE.INVALID_ARGUMENT, "node or report is empty")
    if request.node != speaker.node:
        text = f"an agent on {speaker.node} cannot speak for node {request.node}"
        await _abort(context, _CODE.PERMISSION_DENIED, text)


async def _abort(context: Context, code: grpc.StatusCode, text: str) -> NoReturn:
    await context.abort(code, text)
    raise AssertionError("abort returned")


def as_json(message: Message) -> dict[str, Any]:
    """The fields that are set, with their names in camel case.

    Unlike ``json_format`` this leaves large numbers numbers, as Kubernetes has them.
    """
    found: dict[str, Any] = {}
    for field, value in message.ListFields():
        name = camel(field.name)
        if field.message_type is None:
            found[name] = list(value) if field.is_repeated else value
        elif field.is_repeated:
            found[name] = [as_json(item) for item in value]
        else:
            found[name] = as_json(value)
    return found


def as_message(node: str, status: Mapping[str, Any]) -> pb.ReportRequest:
    """A report from its JSON. Raises ``google.protobuf.json_format.ParseError`` for a field that is none."""
    return pb.ReportRequest(node=node, report=json_format.ParseDict(dict(status), pb.NodeReport()))
