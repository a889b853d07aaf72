"""Model servers of KServe and llm-d: each replica is a gang of one, with the role and model that it has.

These stacks make the replicas of one model as Deployments (of an ``InferenceService``, of a single-node
``LLMInferenceService``, of the llm-d ModelService chart), and each replica serves by itself: prefill and
decode replicas find each other by labels, one may start without the other. Replicas over several nodes are
LeaderWorkerSets, and those are gangs of that source. A ``DisaggregatedSet``, or ``muster.dev/gang`` in the
pod templates, makes prefill and decode one gang that is placed together; KServe hands annotations of an
``InferenceService`` on to its pods, so that a multi-node one (a head and a worker Deployment) becomes a gang
by ``muster.dev/gang`` and ``muster.dev/gang-size``.

Sources: kserve/kserve pkg/constants, pkg/controller/v1alpha2/llmisvc; llm-d-incubation/llm-d-modelservice
charts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from scheduler import keys
from scheduler.foreign import ForeignObjects
from scheduler.gangs import annotated
from scheduler.gangs.context import Context
from scheduler.gangs.translate import Draft
from scheduler.model import Gang
from scheduler.pods import Pod
from topology import keys as foreign

NAME = "serving"
WATCHES: tuple[str, ...] = ()

_LABELS = (foreign.KSERVE_SERVICE, foreign.LLMD_ROLE, foreign.LLMD_MODEL)
_ROLES = frozenset({"prefill", "decode"})
"""Roles that matter to placement. A replica that does both, or neither, has the default role."""


def claim(pod: Pod) -> str | None:
    """The pod's own name, when it carries a label of one of the stacks."""
    return pod.name if any(label in pod.labels for label in _LABELS) else None


def levels(pod: Pod, objects: ForeignObjects) -> tuple[str, ...]:
    """Level names and label keys that the pod asks for."""
    return annotated.levels(pod, objects)


def read(namespace: str, name: str, pods: Sequence[Pod], context: Context) -> Gang:
    """The gang of one replica. Never raises."""
    draft = Draft(list(pods), {})
    for pod in pods:
        role = pod.labels.get(foreign.LLMD_ROLE, "")
        if role in _ROLES:
            draft.write([pod], keys.ROLE, "", role)
        model = pod.annotations.get(foreign.KSERVE_MODEL_URI, "").strip()
        if model:
            draft.write([pod], keys.MODEL, "", model)
    gang = annotated.read(namespace, name, draft.pods, context)
    return replace(gang, source=NAME, workload=_workload(pods[0]) or gang.workload)


def _workload(pod: Pod) -> str:
    """What replicas are counted together for ``spread``: the service, which outlives its Deployments."""
    service, model = pod.labels.get(foreign.KSERVE_SERVICE), pod.labels.get(foreign.LLMD_MODEL)
    if service:
        return f"InferenceService/{service}"
    return f"{foreign.LLMD_MODEL}={model}" if model else ""
