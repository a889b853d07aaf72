"""``make journey``: somebody who knows only a model's name, on real controllers.

A control plane with KWOK nodes comes up with Muster and the real managers of LeaderWorkerSet and llmaz. An
OpenModel that a10, a100 and 4090 cards can serve and a Playground of six replicas are applied with kubectl;
then the Playground is scaled. What is shown after each step is read back from the cluster.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from simulations.controlplane import (
    ControlPlaneUnavailable,
    KubectlFailed,
    Workloads,
    find_or_build,
    temporary_cluster,
)
from simulations.local import LocalMuster, MusterDidNotStart
from simulations.stage import Narrator, hold, table, workload
from topology.keys import HOSTNAME, KWOK_NODE, NVIDIA_GPU

Object = dict[str, Any]

MODELS = ("a10", "a100", "4090")
CARDS = 8
EXPECTED = {
    6: {"a10": 6},
    1: {"a10": 1},
    20: {"a10": 8, "a100": 8, "4090": 4},
    3: {"a10": 3},
}
"""Replicas -> how many stand on each model of cards."""

_NAME = "llama"
_MODEL_LABEL = "gpu.model"
_SECONDS = 60.0
_INTERRUPTED, _TERMINATED = 130, 143


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the journey. 0: as promised; 1: the outcome is another one, or there is no control plane."""
    parser = argparse.ArgumentParser(
        description="A Playground takes the flavors of its model in order."
    )
    parser.add_argument("--keep", action="store_true", help="leave it running until Ctrl-C")
    keep = parser.parse_args(arguments).keep
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    with Narrator() as tell, ExitStack() as stack:
        try:
            muster, managers = _start(stack, tell)
            outcomes = [_step(managers, tell, replicas) for replicas in EXPECTED]
            if keep:
                tell.hush()
                hold(muster.cluster, muster)
        except (ControlPlaneUnavailable, MusterDidNotStart, KubectlFailed) as error:
            tell(f"this went wrong: {error}")
            return 1
        except KeyboardInterrupt:
            return _INTERRUPTED
    return 0 if all(outcomes) else 1


def _start(stack: ExitStack, tell: Narrator) -> tuple[LocalMuster, Workloads]:
    binaries = find_or_build(tell)
    tell(f"starting etcd, kube-apiserver, kube-scheduler, KWOK ({binaries.source})")
    cluster = stack.enter_context(temporary_cluster(binaries=binaries))
    tell("installing Muster and pointing kube-scheduler at it")
    muster = LocalMuster(cluster)
    muster.install()
    stack.callback(muster.stop)
    muster.start()
    tell("starting the managers of LeaderWorkerSet and llmaz")
    managers = Workloads(cluster, tell)
    managers.up()
    tell(f"adding one node with {CARDS} cards of each: {', '.join(MODELS)}")
    cluster.add_nodes(_nodes())
    return muster, managers


def _nodes() -> Iterator[Object]:
    for model in MODELS:
        room = {"cpu": "128", "memory": "1Ti", "pods": "110", NVIDIA_GPU: str(CARDS)}
        name = f"{model}-0"
        yield {
            "metadata": {
                "name": name,
                "labels": {HOSTNAME: name, _MODEL_LABEL: model},
                "annotations": {KWOK_NODE: "fake"},
            },
            "status": {"allocatable": room, "capacity": room},
        }


def _step(managers: Workloads, tell: Narrator, replicas: int) -> bool:
    """Ask for so many replicas, wait until they run, and show where; whether it is where they should be."""
    if replicas == next(iter(EXPECTED)):
        files = ("llama-model.yaml", "llama.yaml")
        tell(f"kubectl apply -f {' -f '.join(files)}")
        managers.kubectl("apply", *(f"--filename={workload(file)}" for file in files))
    else:
        tell(f"kubectl scale playground {_NAME} --replicas={replicas}")
        managers.kubectl("scale", "playgrounds.inference.llmaz.io", _NAME, f"--replicas={replicas}")
    pods = "/api/v1/namespaces/default/pods"
    api = managers.cluster.api

    def there() -> list[Object]:
        found = api.list(pods)
        bound = [pod for pod in found if pod["spec"].get("nodeName")]
        return bound if len(bound) == len(found) == replicas else []

    try:
        found = Counter(_model(pod) for pod in api.wait_for("replicas", there, _SECONDS, every=0.2))
    except TimeoutError:
        found = Counter()
    rows = [("CARDS", "REPLICAS"), *((model, str(found[model])) for model in MODELS)]
    print("\n".join(["", *table(rows), ""]))
    if len(found) > 1:  # the story of one that fell back
        print(_explained(managers, f"default/{_NAME}-{replicas - 1}"))
    else:
        print(managers.kubectl("get", "gangs"))
    return found == EXPECTED[replicas]


def _model(pod: Object) -> str:
    return str(pod["spec"]["nodeName"]).rpartition("-")[0]


def _explained(managers: Workloads, gang: str) -> str:
    command = [sys.executable, "-m", "muster", "explain", gang]
    command.append(f"--kubeconfig={managers.cluster.kubeconfig}")
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    return f"$ muster explain {gang}\n{shown.stdout or shown.stderr}"


if __name__ == "__main__":
    sys.exit(main())
