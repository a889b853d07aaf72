from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Phase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PHASE_UNSPECIFIED: _ClassVar[Phase]
    PHASE_WAITING: _ClassVar[Phase]
    PHASE_PLANNED: _ClassVar[Phase]
    PHASE_BINDING: _ClassVar[Phase]
    PHASE_BOUND: _ClassVar[Phase]
    PHASE_DEGRADED: _ClassVar[Phase]
    PHASE_ABORTING: _ClassVar[Phase]
    PHASE_RELEASING: _ClassVar[Phase]
    PHASE_INVALID: _ClassVar[Phase]
PHASE_UNSPECIFIED: Phase
PHASE_WAITING: Phase
PHASE_PLANNED: Phase
PHASE_BINDING: Phase
PHASE_BOUND: Phase
PHASE_DEGRADED: Phase
PHASE_ABORTING: Phase
PHASE_RELEASING: Phase
PHASE_INVALID: Phase

class PlanRequest(_message.Message):
    __slots__ = ("manifests", "gang", "live")
    MANIFESTS_FIELD_NUMBER: _ClassVar[int]
    GANG_FIELD_NUMBER: _ClassVar[int]
    LIVE_FIELD_NUMBER: _ClassVar[int]
    manifests: bytes
    gang: GangName
    live: bool
    def __init__(self, manifests: _Optional[bytes] = ..., gang: _Optional[_Union[GangName, _Mapping]] = ..., live: _Optional[bool] = ...) -> None: ...

class PlanResponse(_message.Message):
    __slots__ = ("gangs", "solver", "snapshot")
    GANGS_FIELD_NUMBER: _ClassVar[int]
    SOLVER_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    gangs: _containers.RepeatedCompositeFieldContainer[Decision]
    solver: SolverReport
    snapshot: SnapshotReport
    def __init__(self, gangs: _Optional[_Iterable[_Union[Decision, _Mapping]]] = ..., solver: _Optional[_Union[SolverReport, _Mapping]] = ..., snapshot: _Optional[_Union[SnapshotReport, _Mapping]] = ...) -> None: ...

class GetGangRequest(_message.Message):
    __slots__ = ("gang",)
    GANG_FIELD_NUMBER: _ClassVar[int]
    gang: GangName
    def __init__(self, gang: _Optional[_Union[GangName, _Mapping]] = ...) -> None: ...

class WatchGangsRequest(_message.Message):
    __slots__ = ("namespace", "name")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    name: str
    def __init__(self, namespace: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("gang",)
    GANG_FIELD_NUMBER: _ClassVar[int]
    gang: GangName
    def __init__(self, gang: _Optional[_Union[GangName, _Mapping]] = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class ScaleOutRequest(_message.Message):
    __slots__ = ("gang",)
    GANG_FIELD_NUMBER: _ClassVar[int]
    gang: GangName
    def __init__(self, gang: _Optional[_Union[GangName, _Mapping]] = ...) -> None: ...

class ScaleOutResponse(_message.Message):
    __slots__ = ("flavors",)
    FLAVORS_FIELD_NUMBER: _ClassVar[int]
    flavors: _containers.RepeatedCompositeFieldContainer[ScaleOut]
    def __init__(self, flavors: _Optional[_Iterable[_Union[ScaleOut, _Mapping]]] = ...) -> None: ...

class GangName(_message.Message):
    __slots__ = ("namespace", "name")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    name: str
    def __init__(self, namespace: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class Gang(_message.Message):
    __slots__ = ("namespace", "name", "spec", "phase", "decision", "message", "members", "deleted")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    name: str
    spec: GangSpec
    phase: Phase
    decision: Decision
    message: str
    members: _containers.RepeatedCompositeFieldContainer[Member]
    deleted: bool
    def __init__(self, namespace: _Optional[str] = ..., name: _Optional[str] = ..., spec: _Optional[_Union[GangSpec, _Mapping]] = ..., phase: _Optional[_Union[Phase, str]] = ..., decision: _Optional[_Union[Decision, _Mapping]] = ..., message: _Optional[str] = ..., members: _Optional[_Iterable[_Union[Member, _Mapping]]] = ..., deleted: _Optional[bool] = ...) -> None: ...

class GangSpec(_message.Message):
    __slots__ = ("source", "size", "min_members", "priority", "created_seconds", "pod_sets", "flavors", "topology", "spread", "model", "model_bytes")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    MIN_MEMBERS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    CREATED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    POD_SETS_FIELD_NUMBER: _ClassVar[int]
    FLAVORS_FIELD_NUMBER: _ClassVar[int]
    TOPOLOGY_FIELD_NUMBER: _ClassVar[int]
    SPREAD_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_BYTES_FIELD_NUMBER: _ClassVar[int]
    source: str
    size: int
    min_members: int
    priority: int
    created_seconds: int
    pod_sets: _containers.RepeatedCompositeFieldContainer[PodSet]
    flavors: _containers.RepeatedScalarFieldContainer[str]
    topology: TopologyRequest
    spread: str
    model: str
    model_bytes: int
    def __init__(self, source: _Optional[str] = ..., size: _Optional[int] = ..., min_members: _Optional[int] = ..., priority: _Optional[int] = ..., created_seconds: _Optional[int] = ..., pod_sets: _Optional[_Iterable[_Union[PodSet, _Mapping]]] = ..., flavors: _Optional[_Iterable[str]] = ..., topology: _Optional[_Union[TopologyRequest, _Mapping]] = ..., spread: _Optional[str] = ..., model: _Optional[str] = ..., model_bytes: _Optional[int] = ...) -> None: ...

class PodSet(_message.Message):
    __slots__ = ("role", "size", "min_count", "request", "topology", "slices", "group", "group_topology")
    class RequestEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ROLE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    MIN_COUNT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    TOPOLOGY_FIELD_NUMBER: _ClassVar[int]
    SLICES_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    GROUP_TOPOLOGY_FIELD_NUMBER: _ClassVar[int]
    role: str
    size: int
    min_count: int
    request: _containers.ScalarMap[str, str]
    topology: TopologyRequest
    slices: _containers.RepeatedCompositeFieldContainer[Slice]
    group: str
    group_topology: TopologyRequest
    def __init__(self, role: _Optional[str] = ..., size: _Optional[int] = ..., min_count: _Optional[int] = ..., request: _Optional[_Mapping[str, str]] = ..., topology: _Optional[_Union[TopologyRequest, _Mapping]] = ..., slices: _Optional[_Iterable[_Union[Slice, _Mapping]]] = ..., group: _Optional[str] = ..., group_topology: _Optional[_Union[TopologyRequest, _Mapping]] = ...) -> None: ...

class TopologyRequest(_message.Message):
    __slots__ = ("required", "preferred")
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    PREFERRED_FIELD_NUMBER: _ClassVar[int]
    required: str
    preferred: str
    def __init__(self, required: _Optional[str] = ..., preferred: _Optional[str] = ...) -> None: ...

class Slice(_message.Message):
    __slots__ = ("level", "size")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    level: str
    size: int
    def __init__(self, level: _Optional[str] = ..., size: _Optional[int] = ...) -> None: ...

class Decision(_message.Message):
    __slots__ = ("namespace", "name", "status", "flavor", "flavor_rank", "passed_over", "members", "domains", "load_seconds", "reason", "scale_out")
    class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATUS_UNSPECIFIED: _ClassVar[Decision.Status]
        STATUS_PLACED: _ClassVar[Decision.Status]
        STATUS_WAITING: _ClassVar[Decision.Status]
    STATUS_UNSPECIFIED: Decision.Status
    STATUS_PLACED: Decision.Status
    STATUS_WAITING: Decision.Status
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    FLAVOR_FIELD_NUMBER: _ClassVar[int]
    FLAVOR_RANK_FIELD_NUMBER: _ClassVar[int]
    PASSED_OVER_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    DOMAINS_FIELD_NUMBER: _ClassVar[int]
    LOAD_SECONDS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SCALE_OUT_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    name: str
    status: Decision.Status
    flavor: str
    flavor_rank: int
    passed_over: _containers.RepeatedCompositeFieldContainer[PassedOver]
    members: _containers.RepeatedCompositeFieldContainer[Member]
    domains: _containers.RepeatedCompositeFieldContainer[Domains]
    load_seconds: int
    reason: Reason
    scale_out: _containers.RepeatedCompositeFieldContainer[ScaleOut]
    def __init__(self, namespace: _Optional[str] = ..., name: _Optional[str] = ..., status: _Optional[_Union[Decision.Status, str]] = ..., flavor: _Optional[str] = ..., flavor_rank: _Optional[int] = ..., passed_over: _Optional[_Iterable[_Union[PassedOver, _Mapping]]] = ..., members: _Optional[_Iterable[_Union[Member, _Mapping]]] = ..., domains: _Optional[_Iterable[_Union[Domains, _Mapping]]] = ..., load_seconds: _Optional[int] = ..., reason: _Optional[_Union[Reason, _Mapping]] = ..., scale_out: _Optional[_Iterable[_Union[ScaleOut, _Mapping]]] = ...) -> None: ...

class ScaleOut(_message.Message):
    __slots__ = ("flavor", "nodes", "at_most", "cost_per_hour", "cheapest", "like", "level", "domains", "node_selector", "resources", "message")
    class DomainsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class NodeSelectorEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class ResourcesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    FLAVOR_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    AT_MOST_FIELD_NUMBER: _ClassVar[int]
    COST_PER_HOUR_FIELD_NUMBER: _ClassVar[int]
    CHEAPEST_FIELD_NUMBER: _ClassVar[int]
    LIKE_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    DOMAINS_FIELD_NUMBER: _ClassVar[int]
    NODE_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    flavor: str
    nodes: int
    at_most: bool
    cost_per_hour: str
    cheapest: bool
    like: str
    level: str
    domains: _containers.ScalarMap[str, int]
    node_selector: _containers.ScalarMap[str, str]
    resources: _containers.ScalarMap[str, str]
    message: str
    def __init__(self, flavor: _Optional[str] = ..., nodes: _Optional[int] = ..., at_most: _Optional[bool] = ..., cost_per_hour: _Optional[str] = ..., cheapest: _Optional[bool] = ..., like: _Optional[str] = ..., level: _Optional[str] = ..., domains: _Optional[_Mapping[str, int]] = ..., node_selector: _Optional[_Mapping[str, str]] = ..., resources: _Optional[_Mapping[str, str]] = ..., message: _Optional[str] = ...) -> None: ...

class PassedOver(_message.Message):
    __slots__ = ("flavor", "reason")
    FLAVOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    flavor: str
    reason: Reason
    def __init__(self, flavor: _Optional[str] = ..., reason: _Optional[_Union[Reason, _Mapping]] = ...) -> None: ...

class Reason(_message.Message):
    __slots__ = ("code", "message", "numbers")
    class NumbersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    numbers: _containers.ScalarMap[str, int]
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., numbers: _Optional[_Mapping[str, int]] = ...) -> None: ...

class Member(_message.Message):
    __slots__ = ("pod", "uid", "role", "rank", "node", "bound")
    POD_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    BOUND_FIELD_NUMBER: _ClassVar[int]
    pod: str
    uid: str
    role: str
    rank: int
    node: str
    bound: bool
    def __init__(self, pod: _Optional[str] = ..., uid: _Optional[str] = ..., role: _Optional[str] = ..., rank: _Optional[int] = ..., node: _Optional[str] = ..., bound: _Optional[bool] = ...) -> None: ...

class Domains(_message.Message):
    __slots__ = ("level", "names")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    level: str
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, level: _Optional[str] = ..., names: _Optional[_Iterable[str]] = ...) -> None: ...

class SolverReport(_message.Message):
    __slots__ = ("status", "objective", "bound", "seconds")
    class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATUS_UNSPECIFIED: _ClassVar[SolverReport.Status]
        STATUS_OPTIMAL: _ClassVar[SolverReport.Status]
        STATUS_FEASIBLE: _ClassVar[SolverReport.Status]
        STATUS_GREEDY: _ClassVar[SolverReport.Status]
    STATUS_UNSPECIFIED: SolverReport.Status
    STATUS_OPTIMAL: SolverReport.Status
    STATUS_FEASIBLE: SolverReport.Status
    STATUS_GREEDY: SolverReport.Status
    STATUS_FIELD_NUMBER: _ClassVar[int]
    OBJECTIVE_FIELD_NUMBER: _ClassVar[int]
    BOUND_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    status: SolverReport.Status
    objective: _containers.RepeatedScalarFieldContainer[int]
    bound: _containers.RepeatedScalarFieldContainer[int]
    seconds: float
    def __init__(self, status: _Optional[_Union[SolverReport.Status, str]] = ..., objective: _Optional[_Iterable[int]] = ..., bound: _Optional[_Iterable[int]] = ..., seconds: _Optional[float] = ...) -> None: ...

class SnapshotReport(_message.Message):
    __slots__ = ("nodes", "pods")
    NODES_FIELD_NUMBER: _ClassVar[int]
    PODS_FIELD_NUMBER: _ClassVar[int]
    nodes: int
    pods: int
    def __init__(self, nodes: _Optional[int] = ..., pods: _Optional[int] = ...) -> None: ...
