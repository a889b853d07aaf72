"""Deployment settings of ``muster serve``. Each field gives its unit, default and the reason for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from scheduler.keys import NAMESPACE
from scheduler.policy import MixedPair, Policy
from scheduler.progress import Limits
from topology.vendors import VENDORS, vendor_of

_PAIR = tuple(item.name for item in fields(MixedPair))


class ConfigError(Exception):
    """A setting is unknown or of the wrong type; the text names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings of the service; ``load`` reads them from a mapping, ``dump`` prints them."""

    listen: str = "0.0.0.0:9443"
    """Address of the HTTPS server for kube-scheduler (verbs), admission, health and metrics."""
    grpc_listen: str = "0.0.0.0:9444"
    """Address of the gRPC server; empty turns it off."""
    grpc_reflection: bool = False
    """Serve gRPC reflection; off, because it tells strangers the API."""
    tls_dir: str = ""
    """Folder with tls.crt, tls.key and ca.crt; empty: made, renewed and kept in the Secret."""
    tls_secret: str = "muster-tls"
    """Secret of the service's namespace that holds certificates made by the service."""
    tls_names: tuple[str, ...] = ()
    """Further DNS names or IP addresses that the made certificate is valid for."""
    client_ca: str = ""
    """CA file of clients; when given, the verbs need a client certificate (mTLS)."""
    namespace: str = NAMESPACE
    """Where the Lease and the Secret live."""
    kubeconfig: str = ""
    """Path of a kubeconfig; empty: in-cluster, else $KUBECONFIG or the default path."""
    agents: str = "system:serviceaccount:muster-agents:muster-agent"
    """User name of the agents that may report about their nodes; empty: nobody may."""
    guarded: bool = False
    """The kube-scheduler also sends plain pods that ask for vendor resources (design section 8)."""
    filter_only: bool = False
    """The kube-scheduler has another binder, as HAMi's has: no bind call ever comes. Members are filtered and
    let go together; the watch shows that they are bound."""
    schedulers: tuple[str, ...] = ("default-scheduler",)
    """Names of the kube-schedulers that call us: only their pods are ours; empty for any. The admission
    objects list the same names."""
    compatibility: bool = False
    """Flavors of llmaz mean what its own scheduler plugin makes of them: labels alone, and one flavor with
    an empty selector turns the order off."""
    rewrites: bool = False
    """Whether the webhook of manifests/webhook.yaml is installed: flavors are written into pods, and a gang
    may be placed on one that needs other pods than there are."""
    handoff: tuple[str, ...] = ()
    """Vendors for which Muster chooses the cards of a member and tells the device plugin with the Binding:
    ascend, iluvatar, kunlunxin, mthreads. Off, because a plugin that does not read it chooses other cards,
    and then the pods say what is not true."""
    identity: str = ""
    """Holder identity in the Lease; empty: host name and port."""
    lease_seconds: float = 15
    """Life of the planner's Lease; the second replica takes over after this when the first one dies."""
    barrier_seconds: float = 25
    """How long a bind call is held for its siblings; below the 30 s timeout of kube-scheduler."""
    bind_retry_seconds: float = 3
    """How long a Binding that got no answer is tried again. With ``barrier_seconds`` it stays below the
    30 s timeout of kube-scheduler, which gives the place away then."""
    exclude_seconds: float = 30
    """How long a node that kube-scheduler's filters refused is left out of the gang's plans."""
    debounce_seconds: float = 0.02
    """Changes are gathered this long before a cycle, so that a gang's pods are seen together."""
    interval_seconds: float = 0.1
    """Least time between the starts of two cycles in a busy cluster."""
    ungate_delay_seconds: float = 0
    """Pause between nominating and ungating a gang; only for tests that look at that moment."""
    kept_decisions: int = 32
    """Decisions that /debug/snapshot can replay."""
    log_level: str = "info"
    log_json: bool = True
    policy: Policy = field(default_factory=Policy)
    limits: Limits = field(default_factory=Limits)


def load(values: Mapping[str, Any], base: Config = Config()) -> Config:
    """``base`` with ``values`` put in. Raises ``ConfigError`` naming the key that is wrong."""
    known = {item.name: item for item in fields(Config)}
    changes: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            raise ConfigError(f"unknown setting {key!r}; known: {', '.join(sorted(known))}")
        current = getattr(base, key)
        if isinstance(current, (Policy, Limits)):
            changes[key] = _load_group(key, value, current)
        else:
            changes[key] = _checked(key, value, current, str(known[key].type))
    for name in changes.get("handoff", ()):
        vendor = vendor_of(name)
        if vendor is None or vendor.handoff is None:
            able = ", ".join(vendor.name for vendor in VENDORS if vendor.handoff)
            raise ConfigError(f"handoff: {name!r} takes no choice of cards; these do: {able}")
    return replace(base, **changes)


def _load_group(key: str, value: object, current: Policy | Limits) -> Policy | Limits:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{key}: expected a mapping, not {value!r}")
    known = {item.name: str(item.type) for item in fields(current)}
    for name in value:
        if name not in known:
            raise ConfigError(f"unknown setting {key}.{name}; known: {', '.join(sorted(known))}")
    changes: dict[str, Any] = {
        name: _checked(f"{key}.{name}", v, getattr(current, name), known[name])
        for name, v in value.items()
    }
    return replace(current, **changes)


def _checked(key: str, value: object, current: object, kind: str) -> object:
    """``kind`` is the field's declared type: the default of a float may be written as an int."""
    if isinstance(current, bool):
        if isinstance(value, bool):
            return value
    elif kind in ("int", "float"):
        number = isinstance(value, int) or (kind == "float" and isinstance(value, float))
        if number and not isinstance(value, bool) and 0 <= float(str(value)) < math.inf:
            return value
    elif isinstance(current, Mapping):
        return {**current, **_rates(key, value)}
    elif kind == "tuple[MixedPair, ...]":
        return tuple(_pair(f"{key}[{i}]", item) for i, item in enumerate(_items(key, value)))
    elif isinstance(current, tuple):
        if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
            return tuple(value)
    elif isinstance(value, str):
        return value
    shown = "list" if isinstance(current, tuple) else kind
    raise ConfigError(f"{key}: {value!r} is not a {shown} such as {current!r}")


def _rates(key: str, value: object) -> dict[str, int]:
    """Bytes per second by name. What is not named keeps its default."""
    items = value.items() if isinstance(value, Mapping) else ((None, None),)
    for name, rate in items:
        if not isinstance(name, str) or isinstance(rate, bool) or not isinstance(rate, int):
            raise ConfigError(f"{key}: {value!r} is not a mapping of names to bytes per second")
        if not 0 < rate < 2**53:
            raise ConfigError(f"{key}.{name}: {rate} is no rate; it is above 0")
    return dict(items)


def _items(key: str, value: object) -> list[Any]:
    if isinstance(value, list):
        return value
    raise ConfigError(f"{key}: {value!r} is not a list of {', '.join(_PAIR)}")


def _pair(key: str, value: object) -> MixedPair:
    if isinstance(value, Mapping) and value.keys() == set(_PAIR):
        texts = {str(name): text for name, text in value.items() if isinstance(text, str) and text}
        if len(texts) == len(_PAIR):
            return MixedPair(**texts)
    raise ConfigError(f"{key}: {value!r} is not a mapping with the texts {', '.join(_PAIR)}")


def dump(config: Config) -> dict[str, Any]:
    """The settings as a plain mapping; ``load(dump(c)) == c``."""
    document = asdict(config)
    return {key: list(v) if isinstance(v, tuple) else v for key, v in document.items()} | {
        "policy": {**document["policy"], "mixed_pairs": list(document["policy"]["mixed_pairs"])}
    }
