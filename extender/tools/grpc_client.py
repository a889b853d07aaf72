"""An example of a gRPC client: what would be decided for some manifests, one gang until it is bound, and why.

python -m extender.tools.grpc_client HOST:PORT NAMESPACE/GANG [--ca FILE] [--manifests FILE]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import grpc

from extender.muster_v1 import placement_pb2 as pb
from extender.muster_v1.placement_pb2_grpc import PlacementServiceStub

_SECONDS = 60.0


def main(arguments: list[str] | None = None) -> None:
    """Print the plan, every phase of the gang up to Bound, and its explanation."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("address", metavar="HOST:PORT")
    parser.add_argument("gang", metavar="NAMESPACE/GANG")
    parser.add_argument("--ca", type=Path, help="the authority of the service's certificate")
    parser.add_argument("--manifests", type=Path, help="plan these on top of the cluster first")
    args = parser.parse_args(arguments)
    try:
        with _channel(args.address, args.ca) as channel:
            _show(channel, args.gang, args.manifests)
    except grpc.RpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")


def _show(channel: grpc.Channel, gang: str, manifests: Path | None) -> None:
    service = PlacementServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
    namespace, _, name = gang.partition("/")
    if manifests:
        request = pb.PlanRequest(manifests=manifests.read_bytes(), live=True)
        for decision in service.Plan(request, timeout=_SECONDS).gangs:
            places = [member.node for member in decision.members]
            print("plan:", decision.name, decision.flavor or "-", *places, flush=True)
    watch = pb.WatchGangsRequest(namespace=namespace, name=name)
    for state in service.WatchGangs(watch, timeout=_SECONDS):
        print("phase:", pb.Phase.Name(state.phase).removeprefix("PHASE_").capitalize())
        if state.phase == pb.PHASE_BOUND:
            break
    asked = pb.GangName(namespace=namespace, name=name)
    print(service.Explain(pb.ExplainRequest(gang=asked), timeout=_SECONDS).text)


def _channel(address: str, ca: Path | None) -> grpc.Channel:
    if ca is None:
        return grpc.insecure_channel(address)
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(ca.read_bytes()))


if __name__ == "__main__":
    main()
