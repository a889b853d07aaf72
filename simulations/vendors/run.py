"""The run on a cluster: groups made one after the other, and read back where they are."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scheduler import keys
from simulations.controlplane import Workloads
from simulations.controlplane.api import PATIENCE_SECONDS
from simulations.vendors import fleet
from simulations.vendors.fleet import ANY, NAMESPACE, ODD, OFFERS, SET, SIZE
from simulations.vendors.table import HALF, Landing, Outcome

Object = dict[str, Any]
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The run on a cluster with Muster, its webhook and LeaderWorkerSet."""

    workloads: Workloads
    tell: Tell

    def __call__(self) -> Outcome:
        """Everything from an empty namespace; `clean` ends it."""
        api = self.workloads.cluster.api
        api.create_namespace(NAMESPACE)
        nodes = fleet.nodes()
        self.tell(f"adding {len(nodes)} nodes of {len(OFFERS)} vendors, and flavors for them")
        self.workloads.cluster.add_nodes(nodes)
        self._apply(*fleet.flavors())
        odd = self._odd()
        landings, picture = [], ""
        for number, offer in enumerate(OFFERS, 1):
            self._scale(number)
            self._wait(f"{SET}-{number - 1}", "Bound")
            landings.append(self._landing(f"{SET}-{number - 1}"))
            self.tell(
                f"group {number} of {len(OFFERS)} is on {landings[-1].flavor} ({offer.vendor})"
            )
            if number == HALF:
                picture = self._picture()
        self.tell("one more group, for which no vendor is left")
        self._scale(len(OFFERS) + 1)
        waiting = self._wait(f"{SET}-{len(OFFERS)}", "Waiting", "Insufficient")
        used = self._used_decoys()
        anybody = self._anybody()
        return Outcome(
            landings=tuple(landings),
            waiting=str(waiting["message"]),
            anybody=anybody,
            odd=odd,
            used_decoys=(*used, *self._used_decoys()),
            picture=picture,
        )

    def clean(self) -> None:
        """Remove all of it."""
        api = self.workloads.cluster.api
        if api.find(f"/api/v1/namespaces/{NAMESPACE}") is None:
            return
        self._kubectl("delete", "leaderworkersets", "--all", "--cascade=foreground", "--wait=false")
        pods = f"/api/v1/namespaces/{NAMESPACE}/pods"

        def gone() -> bool:
            api.delete(pods, grace_seconds=0)
            return not api.list(pods)

        api.wait_for("pods to go", gone)
        for node in fleet.nodes():
            api.delete(f"/api/v1/nodes/{node['metadata']['name']}")
        for flavor in fleet.flavors():
            api.delete(f"/apis/{keys.API_VERSION}/flavors/{flavor['metadata']['name']}")

    def _odd(self) -> str:
        """What a group says whose number of cards is legal nowhere; it is removed again."""
        self.tell(f"a group that asks for {ODD} cards of vendors who give no {ODD}")
        self._apply(fleet.odd_group())
        status = self._wait(f"{SET}-odd-0", "Waiting", "NoNodes")
        self._kubectl("delete", "leaderworkerset", f"{SET}-odd", "--wait=false")
        return str(status["message"])

    def _anybody(self) -> tuple[str, ...]:
        """The classes that groups are on which name none, once all vendors are full again."""
        self.tell("all of it again with one flavor that says minMemory and cards, at once")
        self._kubectl("delete", "leaderworkerset", SET, "--cascade=foreground")
        self._apply(fleet.any_group())
        api = self.workloads.cluster.api
        path = f"/apis/{keys.API_VERSION}/namespaces/{NAMESPACE}/gangs"

        def bound() -> list[str] | None:
            own = [one for one in api.list(path) if one["metadata"]["name"].startswith(ANY)]
            found = [one.get("status", {}) for one in own]
            names = [one["flavor"] for one in found if one.get("phase") == "Bound"]
            waiting = [one for one in found if one.get("phase") == "Waiting"]
            return names if len(names) == len(OFFERS) and len(waiting) == 1 else None

        found = api.wait_for("a group on each vendor", bound, PATIENCE_SECONDS, every=0.2)
        return tuple(sorted(name.removeprefix(f"{ANY}/") for name in found))

    def _scale(self, replicas: int) -> None:
        if replicas == 1:
            self._apply(fleet.group())
        else:
            self._kubectl("scale", "leaderworkerset", SET, f"--replicas={replicas}")

    def _wait(self, gang: str, phase: str, reason: str | None = None) -> Object:
        """The status of a gang in this phase."""
        path = f"/apis/{keys.API_VERSION}/namespaces/{NAMESPACE}/gangs/{gang}"
        api = self.workloads.cluster.api

        def reached() -> Object | None:
            status: Object = (api.find(path) or {}).get("status", {})
            there = status.get("phase") == phase and reason in (None, status.get("reason"))
            return status if there else None

        try:
            return api.wait_for(f"{gang} to be {phase}", reached, PATIENCE_SECONDS, every=0.05)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; {api.find(path)}") from None

    def _landing(self, gang: str) -> Landing:
        status = self._wait(gang, "Bound")
        leader_and_workers = (gang, *(f"{gang}-{number}" for number in range(1, SIZE)))
        pods = [pod for pod in self._pods() if pod["metadata"]["name"] in leader_and_workers]
        containers = [pod["spec"]["containers"][0] for pod in pods]
        amounts = {
            f"{name}: {number}"
            for container in containers
            for name, number in container["resources"]["limits"].items()
            if "/" in name and keys.GROUP not in name
        }
        return Landing(
            group=gang,
            flavor=status["flavor"],
            rank=status["flavorRank"],
            resources=tuple(sorted(amounts)),
            images=tuple(sorted({container["image"] for container in containers})),
            nodes=tuple(sorted(pod["spec"].get("nodeName", "") for pod in pods)),
            passed_over=tuple(
                (one["flavor"], one["reason"]["message"]) for one in status.get("passedOver", [])
            ),
        )

    def _used_decoys(self) -> tuple[str, ...]:
        whole = {name for offer in OFFERS for name in offer.nodes}
        return tuple(
            sorted({pod["spec"].get("nodeName", "") for pod in self._pods()} - whole - {""})
        )

    def _picture(self) -> str:
        """`muster topology -o svg` of the nodes and pods of the run."""
        own = {node["metadata"]["name"] for node in fleet.nodes()}
        api = self.workloads.cluster.api
        nodes = [n for n in api.list("/api/v1/nodes") if n["metadata"]["name"] in own]
        listed = [{"apiVersion": "v1", "kind": "Node", **node} for node in nodes]
        listed += [{"apiVersion": "v1", "kind": "Pod", **pod} for pod in self._pods()]
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": listed})
        command = [sys.executable, "-m", "muster", "topology", "-o", "svg", "-f", "-"]
        return subprocess.run(
            command, input=text, capture_output=True, text=True, check=True
        ).stdout

    def _pods(self) -> list[Object]:
        return list(self.workloads.cluster.api.list(f"/api/v1/namespaces/{NAMESPACE}/pods"))

    def _apply(self, *objects: Object) -> None:
        items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self._kubectl("apply", "-f", "-", stdin=json.dumps(items))

    def _kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.workloads.kubectl(arguments[0], "-n", NAMESPACE, *arguments[1:], stdin=stdin)
