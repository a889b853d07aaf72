"""Ground fact: a MutatingAdmissionPolicy adds gate and resources inside the API server itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scheduler import keys
from simulations.local import gates_members
from tests.ground.rig import Object, Rig
from topology.keys import NVIDIA_GPU

pytestmark = pytest.mark.e2e

API = "/apis/admissionregistration.k8s.io/v1"
NAME = "ground-gang"

MUTATION = f"""
Object{{
  spec: Object.spec{{
    schedulingGates: [Object.spec.schedulingGates{{name: "{keys.GATE}"}}],
    containers: [Object.spec.containers{{
      name: object.spec.containers[0].name,
      resources: Object.spec.containers.resources{{
        requests: {{"{keys.RESOURCE_MEMBER}": "1", "{keys.RESOURCE_BIND}": "1"}},
        limits: {{"{keys.RESOURCE_MEMBER}": "1", "{keys.RESOURCE_BIND}": "1"}}
      }}
    }}]
  }}
}}
"""

POLICY: Object = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "MutatingAdmissionPolicy",
    "metadata": {"name": NAME},
    "spec": {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "IfNeeded",
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "resources": ["pods"],
                    "operations": ["CREATE"],
                }
            ]
        },
        "matchConditions": [
            {
                "name": "ours",
                "expression": "has(object.metadata.annotations)"
                f" && '{keys.GANG}' in object.metadata.annotations",
            }
        ],
        "mutations": [
            {
                "patchType": "ApplyConfiguration",
                "applyConfiguration": {"expression": MUTATION},
            }
        ],
    },
}

BINDING: Object = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "MutatingAdmissionPolicyBinding",
    "metadata": {"name": NAME},
    "spec": {"policyName": NAME},
}


@pytest.fixture
def policy(rig: Rig) -> Iterator[Rig]:
    """The policy in force: the API server takes it up a moment after its creation."""
    api = rig.cluster.api
    api.create(f"{API}/mutatingadmissionpolicies", POLICY)
    api.create(f"{API}/mutatingadmissionpolicybindings", BINDING)

    api.wait_for("the policy to be in force", lambda: gates_members(api))
    yield rig
    api.delete(f"{API}/mutatingadmissionpolicybindings/{NAME}")
    api.delete(f"{API}/mutatingadmissionpolicies/{NAME}")


def test_policy_gates_our_pods_with_nothing_of_ours_running(policy: Rig) -> None:
    """An annotated pod gets gate and both resources beside its own; our extender is never asked."""
    policy.add_nodes(1)
    pod = policy.create("gang", gpus=8, annotations={keys.GANG: "g"})
    resources = pod["spec"]["containers"][0]["resources"]
    ours = {keys.RESOURCE_MEMBER: "1", keys.RESOURCE_BIND: "1"}
    assert ours.items() <= resources["limits"].items()
    assert resources["requests"] == resources["limits"] == ours | {NVIDIA_GPU: "8"}
    assert pod["spec"]["schedulingGates"] == [{"name": keys.GATE}]
    assert not policy.extender.calls
    policy.ungate("gang")
    policy.wait_bound("gang")
    assert {call.verb for call in policy.extender.calls} == {"filter", "bind"}


def test_policy_leaves_other_pods_alone(policy: Rig) -> None:
    """A pod without our annotation is created as it was written and bound at once."""
    policy.add_nodes(1)
    pod = policy.create("plain", annotations={"other": "x"})
    assert "schedulingGates" not in pod["spec"]
    assert policy.wait_bound("plain")
    assert not policy.extender.calls


def test_policy_keeps_gates_of_others(policy: Rig) -> None:
    """Gates that are there already stay, and a second pass does not double ours."""
    spec = {"schedulingGates": [{"name": "example.com/other"}, {"name": keys.GATE}]}
    pod = policy.create("gang", annotations={keys.GANG: "g"}, spec=spec)
    names = sorted(gate["name"] for gate in pod["spec"]["schedulingGates"])
    assert names == ["example.com/other", keys.GATE]
