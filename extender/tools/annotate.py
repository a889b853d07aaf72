"""``muster annotate -f FILE``: manifests for a cluster whose API server adds nothing at admission.

In the variant *without admission* (design section 8, step 8) a user's template carries itself what
the admission policy would add: the scheduling gate and the two membership resources; here also the
label that mirrors the gang's name. Every pod and pod template that Muster plans gets them, in objects of
any kind, also the templates of a LeaderWorkerSet, which need not ask for anything; nothing else is changed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from extender.admission import NO_REVIEW, gated
from extender.tools import yaml_text
from extender.tools.documents import read_documents, reports_bad_input
from scheduler.gangs import claim
from scheduler.pods import read_pod
from topology.untyped import mapping, sequence

_OF_GROUPS = frozenset({"leaderTemplate", "workerTemplate"})
"""Fields of a LeaderWorkerSet, or of what contains one: by the labels that they get, their pods are ours."""


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


def annotate(value: Any, under: str = "") -> Any:
    """A copy of ``value`` in which every pod and pod template of ours is made ready.

    ``under`` is the key that it stands under.
    """
    if isinstance(value, list):
        return [annotate(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    found = {key: annotate(item, key) for key, item in value.items()}
    return _ready(found) if _is_ours(found, under) else found


def _is_ours(value: Mapping[str, Any], under: str) -> bool:
    """Whether it is a pod or template that Muster plans and that has no node yet."""
    spec = mapping(value.get("spec"))
    if not sequence(spec.get("containers")) or spec.get("nodeName"):
        return False
    return under in _OF_GROUPS or claim(read_pod(value), {}) is not None


def _ready(pod: dict[str, Any]) -> dict[str, Any]:
    try:
        made = gated({**pod, "metadata": mapping(pod.get("metadata"))})
    except NO_REVIEW:
        return pod  # something else that looks like a pod
    return {**pod, **{key: made[key] for key in ("metadata", "spec") if made[key]}}
