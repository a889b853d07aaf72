"""What llmaz's scheduler plugin ResourceFungibility says about a pod: parity for the compatibility mode.

It looks at labels alone and at every pod by itself: no resources, no counts, no groups. One flavor without
a node selector switches it off for the pod. The order of flavors is a score beside those of other plugins.
With the setting ``compatibility`` the flavors of llmaz mean this much and no more; else ``llmaz`` reads them.
Source: InftyAI/scheduler-plugins pkg/plugins/resource_fungibility, revision 685a4d9.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from topology.untyped import mapping, sequence, strings, text

Object = Mapping[str, Any]
Selector = Mapping[str, str]

WEIGHTS = (34, 21, 13, 8, 5, 3, 2, 1)
"""By rank; the CustomResourceDefinition allows eight flavors."""


class PluginError(Exception):
    """The plugin fails the pod's attempt, which is tried again for ever; the text is the plugin's."""


def prefilter(model: str, claimed: str | None, found: Object | None) -> tuple[Selector, ...] | None:
    """The node selectors of a pod's flavors, best first; None where the plugin has no say.

    ``model``: value of the label ``model-name`` (empty: none), ``claimed``: of the annotation that lists
    flavors, ``found``: the OpenModel of that name. Raises ``PluginError``.
    """
    if not model:
        return None
    if found is None:
        raise PluginError(f'openmodels.llmaz.io "{model}" not found')
    flavors = [mapping(item) for item in sequence(_config(found).get("flavors"))]
    if not _config(found):
        return None
    if claimed is not None:
        flavors = [_named(name, flavors, model) for name in claimed.split(",")]
    selectors = tuple(strings(flavor.get("nodeSelector")) for flavor in flavors)
    return selectors if selectors and all(selectors) else None


def passes(selectors: Sequence[Selector], labels: Mapping[str, str]) -> bool:
    """Filter: whether a node with these labels serves any flavor; else no preemption helps there."""
    return any(_matches(selector, labels) for selector in selectors)


def score(selectors: Sequence[Selector], labels: Mapping[str, str]) -> int:
    """Score: by the best flavor that the node serves, from 39 for the first to 1 for the eighth."""
    for selector, weight in zip(selectors, WEIGHTS, strict=False):
        if _matches(selector, labels):
            return round(weight * 100 / sum(WEIGHTS))
    return 0


def _config(model: Object) -> Object:
    return mapping(mapping(model.get("spec")).get("inferenceConfig"))


def _named(name: str, flavors: Sequence[Object], model: str) -> Object:
    for flavor in flavors:
        if text(flavor.get("name")) == name:
            return flavor
    raise PluginError(f'flavor "{name}" not found in model "{model}"')


def _matches(selector: Selector, labels: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in selector.items())
