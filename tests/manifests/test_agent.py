"""The scanner's DaemonSet is unprivileged, and reads what its arguments say."""

from __future__ import annotations

from typing import Any

from extender.config import Config
from extender.reports import AUDIENCE
from scheduler.kube.manifests import load_manifests
from tests.manifests.agents import AGENT

OBJECTS = {obj["kind"]: obj for obj in load_manifests("agent")}
POD: dict[str, Any] = OBJECTS["DaemonSet"]["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
VOLUMES = {volume["name"]: volume for volume in POD["volumes"]}


def test_it_has_no_privilege() -> None:
    """An ordinary user without capabilities, in namespaces of its own, that cannot gain any."""
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & POD.keys()
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert POD["securityContext"]["runAsUser"] > 0
    assert POD["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_it_cannot_write_to_the_host() -> None:
    """Every mount is read-only, and no device, socket or whole root of the host is among them."""
    assert all(mount["readOnly"] is True for mount in CONTAINER["volumeMounts"])
    paths = {volume["hostPath"]["path"] for volume in POD["volumes"] if "hostPath" in volume}
    assert paths == {"/sys", "/proc", "/run/muster", "/mnt/models"}


def test_the_host_s_files_are_where_the_agent_looks() -> None:
    """Each path of the host lies at the same path below the root that the agent is given."""
    (root,) = (arg.partition("=")[2] for arg in CONTAINER["args"] if arg.startswith("--root="))
    for mount in CONTAINER["volumeMounts"]:
        source = VOLUMES[mount["name"]]
        if "hostPath" in source:
            assert mount["mountPath"] == root + source["hostPath"]["path"]
    models = [arg.partition("=")[2] for arg in CONTAINER["args"] if arg.startswith("--models=")]
    assert {root + path for path in models} <= {m["mountPath"] for m in CONTAINER["volumeMounts"]}


def test_its_token_is_for_muster_only() -> None:
    """No token for the API server, and no role that would give it a right there."""
    assert POD["automountServiceAccountToken"] is False
    assert OBJECTS["ServiceAccount"]["automountServiceAccountToken"] is False
    assert not any("Role" in kind for kind in OBJECTS)
    (token,) = (s["serviceAccountToken"] for s in VOLUMES["token"]["projected"]["sources"])
    assert token["audience"] == AUDIENCE


def test_the_service_expects_this_account() -> None:
    """The default setting names the account of the manifest."""
    metadata = OBJECTS["ServiceAccount"]["metadata"]
    assert f"system:serviceaccount:{metadata['namespace']}:{metadata['name']}" == AGENT
    assert Config().agents == AGENT


def test_the_node_s_name_comes_from_kubernetes() -> None:
    """By the downward API: the host's name may differ from the Node's."""
    (name,) = (env for env in CONTAINER["env"] if env["name"] == "NODE_NAME")
    assert name["valueFrom"] == {"fieldRef": {"fieldPath": "spec.nodeName"}}
