"""``muster annotate -f FILE``: manifests for a cluster whose API server adds nothing at admission.

In the variant *without admission* (design section 8, step 8) a user's template carries itself what
the admission policy would add: the scheduling gate and the two membership resources; here also the
label that mirrors the gang's name. Every pod and pod template with a request annotation gets them,
in objects of any kind; nothing else is changed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from extender.tools import yaml_text
from extender.tools.documents import read_documents, reports_bad_input
from scheduler import keys
from scheduler.gang_object import label_value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``muster annotate``."""
    parser.add_argument(
        "-f",
        "--filename",
        action="append",
        required=True,
        metavar="FILE",
        help="manifest; - is standard input",
    )


@reports_bad_input
def run(args: argparse.Namespace) -> int:
    """Print the annotated manifests as YAML."""
    documents = []
    for path in args.filename:
        for document in read_documents(path):
            list(document.objects())  # refuse what is not Kubernetes before anything is printed
            documents.append(annotate(document.value))
    sys.stdout.write(yaml_text.write(documents))
    return 0


def annotate(value: Any) -> Any:
    """A copy of ``value`` in which every pod and pod template of ours is made ready."""
    if isinstance(value, list):
        return [annotate(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    found = {key: annotate(item) for key, item in value.items()}
    return _ready(found) if _is_ours(found) else found


def _is_ours(value: Mapping[str, Any]) -> bool:
    """Whether it is a pod or template that asks for a gang and has no node yet."""
    spec = value.get("spec")
    if not isinstance(spec, dict) or not isinstance(value.get("metadata"), dict):
        return False
    containers = spec.get("containers")
    if not isinstance(containers, list) or not containers or not isinstance(containers[0], dict):
        return False
    annotations = value["metadata"].get("annotations")
    return (
        isinstance(annotations, dict)
        and not spec.get("nodeName")
        and not keys.REQUEST_ANNOTATIONS.isdisjoint(annotations)
    )


def _ready(pod: dict[str, Any]) -> dict[str, Any]:
    metadata, spec = pod["metadata"], pod["spec"]
    gang = metadata["annotations"].get(keys.GANG)
    if isinstance(gang, str) and gang:
        labels = {**_map(metadata, "labels"), keys.GANG: label_value(gang)}
        metadata = {**metadata, "labels": labels}
    gates = spec.get("schedulingGates")
    gates = gates if isinstance(gates, list) else []
    if {"name": keys.GATE} not in gates:
        gates = [*gates, {"name": keys.GATE}]
    first, *others = spec["containers"]
    spec = {
        **spec,
        "schedulingGates": gates,
        "containers": [_with_membership(first), *others],
    }
    return {**pod, "metadata": metadata, "spec": spec}


def _with_membership(container: dict[str, Any]) -> dict[str, Any]:
    """Requests equal limits, as the API server demands of every resource that is not its own."""
    membership = dict.fromkeys(sorted(keys.SYNTHETIC_RESOURCES), "1")
    resources = _map(container, "resources")
    added = {key: {**_map(resources, key), **membership} for key in ("limits", "requests")}
    return {**container, "resources": {**resources, **added}}


def _map(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, Mapping) else {}
