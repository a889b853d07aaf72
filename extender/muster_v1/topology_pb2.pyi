from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReportRequest(_message.Message):
    __slots__ = ("node", "report")
    NODE_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    node: str
    report: NodeReport
    def __init__(self, node: _Optional[str] = ..., report: _Optional[_Union[NodeReport, _Mapping]] = ...) -> None: ...

class ReportResponse(_message.Message):
    __slots__ = ("changed",)
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    changed: bool
    def __init__(self, changed: _Optional[bool] = ...) -> None: ...

class NodeReport(_message.Message):
    __slots__ = ("schema", "collected_at", "boot_id", "collector", "accelerators", "nics", "links", "domains", "scale_up", "disks", "memory", "caches", "problems", "summary")
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    COLLECTED_AT_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    COLLECTOR_FIELD_NUMBER: _ClassVar[int]
    ACCELERATORS_FIELD_NUMBER: _ClassVar[int]
    NICS_FIELD_NUMBER: _ClassVar[int]
    LINKS_FIELD_NUMBER: _ClassVar[int]
    DOMAINS_FIELD_NUMBER: _ClassVar[int]
    SCALE_UP_FIELD_NUMBER: _ClassVar[int]
    DISKS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    CACHES_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    schema: int
    collected_at: str
    boot_id: str
    collector: Collector
    accelerators: _containers.RepeatedCompositeFieldContainer[Accelerator]
    nics: _containers.RepeatedCompositeFieldContainer[Nic]
    links: _containers.RepeatedCompositeFieldContainer[Link]
    domains: _containers.RepeatedCompositeFieldContainer[DomainOfNode]
    scale_up: str
    disks: _containers.RepeatedCompositeFieldContainer[Disk]
    memory: Memory
    caches: _containers.RepeatedCompositeFieldContainer[CachedModel]
    problems: _containers.RepeatedCompositeFieldContainer[NodeProblem]
    summary: Summary
    def __init__(self, schema: _Optional[int] = ..., collected_at: _Optional[str] = ..., boot_id: _Optional[str] = ..., collector: _Optional[_Union[Collector, _Mapping]] = ..., accelerators: _Optional[_Iterable[_Union[Accelerator, _Mapping]]] = ..., nics: _Optional[_Iterable[_Union[Nic, _Mapping]]] = ..., links: _Optional[_Iterable[_Union[Link, _Mapping]]] = ..., domains: _Optional[_Iterable[_Union[DomainOfNode, _Mapping]]] = ..., scale_up: _Optional[str] = ..., disks: _Optional[_Iterable[_Union[Disk, _Mapping]]] = ..., memory: _Optional[_Union[Memory, _Mapping]] = ..., caches: _Optional[_Iterable[_Union[CachedModel, _Mapping]]] = ..., problems: _Optional[_Iterable[_Union[NodeProblem, _Mapping]]] = ..., summary: _Optional[_Union[Summary, _Mapping]] = ...) -> None: ...

class Summary(_message.Message):
    __slots__ = ("accelerators", "nics", "problems")
    ACCELERATORS_FIELD_NUMBER: _ClassVar[int]
    NICS_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    accelerators: str
    nics: str
    problems: str
    def __init__(self, accelerators: _Optional[str] = ..., nics: _Optional[str] = ..., problems: _Optional[str] = ...) -> None: ...

class Collector(_message.Message):
    __slots__ = ("name", "version", "root")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    root: str
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., root: _Optional[str] = ...) -> None: ...

class Accelerator(_message.Message):
    __slots__ = ("vendor", "index", "uuid", "model", "pci", "numa", "memory_bytes", "healthy", "domain", "group")
    VENDOR_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    UUID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PCI_FIELD_NUMBER: _ClassVar[int]
    NUMA_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    HEALTHY_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    vendor: str
    index: int
    uuid: str
    model: str
    pci: str
    numa: int
    memory_bytes: int
    healthy: bool
    domain: str
    group: int
    def __init__(self, vendor: _Optional[str] = ..., index: _Optional[int] = ..., uuid: _Optional[str] = ..., model: _Optional[str] = ..., pci: _Optional[str] = ..., numa: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., healthy: _Optional[bool] = ..., domain: _Optional[str] = ..., group: _Optional[int] = ...) -> None: ...

class Nic(_message.Message):
    __slots__ = ("device", "netdev", "pci", "numa", "link_layer", "state", "phys_state", "rate_gbps", "node_guid", "port_guid", "lid", "gid_index", "mtu", "virtual", "compute", "rail", "leaf")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    NETDEV_FIELD_NUMBER: _ClassVar[int]
    PCI_FIELD_NUMBER: _ClassVar[int]
    NUMA_FIELD_NUMBER: _ClassVar[int]
    LINK_LAYER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PHYS_STATE_FIELD_NUMBER: _ClassVar[int]
    RATE_GBPS_FIELD_NUMBER: _ClassVar[int]
    NODE_GUID_FIELD_NUMBER: _ClassVar[int]
    PORT_GUID_FIELD_NUMBER: _ClassVar[int]
    LID_FIELD_NUMBER: _ClassVar[int]
    GID_INDEX_FIELD_NUMBER: _ClassVar[int]
    MTU_FIELD_NUMBER: _ClassVar[int]
    VIRTUAL_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_FIELD_NUMBER: _ClassVar[int]
    RAIL_FIELD_NUMBER: _ClassVar[int]
    LEAF_FIELD_NUMBER: _ClassVar[int]
    device: str
    netdev: str
    pci: str
    numa: int
    link_layer: str
    state: str
    phys_state: str
    rate_gbps: float
    node_guid: str
    port_guid: str
    lid: int
    gid_index: int
    mtu: int
    virtual: bool
    compute: bool
    rail: int
    leaf: Leaf
    def __init__(self, device: _Optional[str] = ..., netdev: _Optional[str] = ..., pci: _Optional[str] = ..., numa: _Optional[int] = ..., link_layer: _Optional[str] = ..., state: _Optional[str] = ..., phys_state: _Optional[str] = ..., rate_gbps: _Optional[float] = ..., node_guid: _Optional[str] = ..., port_guid: _Optional[str] = ..., lid: _Optional[int] = ..., gid_index: _Optional[int] = ..., mtu: _Optional[int] = ..., virtual: _Optional[bool] = ..., compute: _Optional[bool] = ..., rail: _Optional[int] = ..., leaf: _Optional[_Union[Leaf, _Mapping]] = ...) -> None: ...

class Leaf(_message.Message):
    __slots__ = ("id", "name", "port", "source")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    port: str
    source: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., port: _Optional[str] = ..., source: _Optional[str] = ...) -> None: ...

class Link(_message.Message):
    __slots__ = ("a", "b", "kind", "source")
    A_FIELD_NUMBER: _ClassVar[int]
    B_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    a: str
    b: str
    kind: str
    source: str
    def __init__(self, a: _Optional[str] = ..., b: _Optional[str] = ..., kind: _Optional[str] = ..., source: _Optional[str] = ...) -> None: ...

class DomainOfNode(_message.Message):
    __slots__ = ("level", "id", "source")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    level: str
    id: str
    source: str
    def __init__(self, level: _Optional[str] = ..., id: _Optional[str] = ..., source: _Optional[str] = ...) -> None: ...

class Disk(_message.Message):
    __slots__ = ("mount", "tier", "size_bytes", "free_bytes", "read_bps")
    MOUNT_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    READ_BPS_FIELD_NUMBER: _ClassVar[int]
    mount: str
    tier: str
    size_bytes: int
    free_bytes: int
    read_bps: int
    def __init__(self, mount: _Optional[str] = ..., tier: _Optional[str] = ..., size_bytes: _Optional[int] = ..., free_bytes: _Optional[int] = ..., read_bps: _Optional[int] = ...) -> None: ...

class Memory(_message.Message):
    __slots__ = ("total_bytes", "available_bytes")
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_BYTES_FIELD_NUMBER: _ClassVar[int]
    total_bytes: int
    available_bytes: int
    def __init__(self, total_bytes: _Optional[int] = ..., available_bytes: _Optional[int] = ...) -> None: ...

class CachedModel(_message.Message):
    __slots__ = ("model", "revision", "refs", "path", "bytes_expected", "bytes_present", "state", "tier", "source", "checked_at")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    REFS_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    BYTES_EXPECTED_FIELD_NUMBER: _ClassVar[int]
    BYTES_PRESENT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    CHECKED_AT_FIELD_NUMBER: _ClassVar[int]
    model: str
    revision: str
    refs: _containers.RepeatedScalarFieldContainer[str]
    path: str
    bytes_expected: int
    bytes_present: int
    state: str
    tier: str
    source: str
    checked_at: str
    def __init__(self, model: _Optional[str] = ..., revision: _Optional[str] = ..., refs: _Optional[_Iterable[str]] = ..., path: _Optional[str] = ..., bytes_expected: _Optional[int] = ..., bytes_present: _Optional[int] = ..., state: _Optional[str] = ..., tier: _Optional[str] = ..., source: _Optional[str] = ..., checked_at: _Optional[str] = ...) -> None: ...

class NodeProblem(_message.Message):
    __slots__ = ("code", "detail")
    CODE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    code: str
    detail: str
    def __init__(self, code: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...
