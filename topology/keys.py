"""Every label, annotation, taint and resource name that belongs to somebody else, with its owner.

Only this file (and ``scheduler/keys.py`` for our own names) spells a ``domain/name`` string.
"""

from __future__ import annotations

# Kubernetes - https://kubernetes.io/docs/reference/labels-annotations-taints/
HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"
REGION = "topology.kubernetes.io/region"
RACK = "topology.kubernetes.io/rack"  # used in the field, not a well-known label
BLOCK = "topology.kubernetes.io/block"  # used in the field, not a well-known label
TAINT_UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
TAINT_NOT_READY = "node.kubernetes.io/not-ready"
TAINT_UNREACHABLE = "node.kubernetes.io/unreachable"
MATCH_FIELD_NAME = "metadata.name"
STATEFUL_SET_POD_NAME = "statefulset.kubernetes.io/pod-name"
POD_INDEX = "apps.kubernetes.io/pod-index"
SECRET_TYPE_TLS = "kubernetes.io/tls"
INITIAL_EVENTS_END = "k8s.io/initial-events-end"  # on the bookmark that ends a streamed list

# Kueue Topology - kubernetes-sigs/kueue keps/2724-topology-aware-scheduling
KUEUE_GROUP = "kueue.x-k8s.io"
KUEUE_REQUIRED = "kueue.x-k8s.io/podset-required-topology"
KUEUE_PREFERRED = "kueue.x-k8s.io/podset-preferred-topology"
KUEUE_UNCONSTRAINED = "kueue.x-k8s.io/podset-unconstrained-topology"
KUEUE_SLICE_LEVEL = "kueue.x-k8s.io/podset-slice-required-topology"
KUEUE_SLICE_SIZE = "kueue.x-k8s.io/podset-slice-size"
KUEUE_SLICES = "kueue.x-k8s.io/podset-slice-required-topology-constraints"  # JSON
KUEUE_PODSET_GROUP = "kueue.x-k8s.io/podset-group-name"
KUEUE_WORKLOAD = "kueue.x-k8s.io/workload"  # annotation of the pods of an admitted workload
KUEUE_PODSET = "kueue.x-k8s.io/podset"  # label
KUEUE_POD_GROUP = "kueue.x-k8s.io/pod-group-name"  # label
KUEUE_POD_GROUP_COUNT = "kueue.x-k8s.io/pod-group-total-count"  # annotation
JOBSET_NAME = "jobset.sigs.k8s.io/jobset-name"  # label
JOBSET_ROLE = "jobset.sigs.k8s.io/replicatedjob-name"  # label

# KWOK - https://kwok.sigs.k8s.io/docs/user/kwok-manage-nodes-and-pods/
KWOK_NODE = "kwok.x-k8s.io/node"

# NVIDIA GPU feature discovery - NVIDIA/k8s-device-plugin docs/gpu-feature-discovery
NVIDIA_GPU = "nvidia.com/gpu"
NVIDIA_GPU_SHARED = "nvidia.com/gpu.shared"
NVIDIA_PRODUCT = "nvidia.com/gpu.product"
NVIDIA_MEMORY_MIB = "nvidia.com/gpu.memory"
NVIDIA_COUNT = "nvidia.com/gpu.count"
NVIDIA_REPLICAS = "nvidia.com/gpu.replicas"
NVIDIA_SHARING = "nvidia.com/gpu.sharing-strategy"
NVIDIA_CLIQUE = "nvidia.com/gpu.clique"  # <ClusterUUID>.<CliqueID>: one multi-node NVLink domain

# Huawei Ascend - Ascend/mind-cluster docs/en/scheduling/api/k8s.md
ASCEND_910 = "huawei.com/Ascend910"
ASCEND_NPU = "huawei.com/npu"  # the 950 generation
ASCEND_310P = "huawei.com/Ascend310P"
ASCEND_310 = "huawei.com/Ascend310"
ASCEND_CCE = "huawei.com/ascend-1980"  # Huawei CCE, 910B class
ASCEND_910_HAMI = tuple(  # HAMi: one resource per chip
    f"huawei.com/Ascend{chip}" for chip in ("910A", "910B2", "910B3", "910B4", "910B4-1", "910C")
)
ASCEND_CHIP = "node.kubernetes.io/npu.chip.name"
ASCEND_MEMORY = "mind-cluster/npu-chip-memory"
ASCEND_ACCELERATOR = "accelerator"
ASCEND_ACCELERATOR_TYPE = "accelerator-type"
ASCEND_INFER_CARD = "infer-card-type"
ASCEND_SUPER_POD = "huawei.com/topotree.superpodid"

# Other vendors' whole cards, as their own device plugins name them
ILUVATAR_GPU = "iluvatar.com/gpu"  # Deep-Spark/ix-device-plugin
BIREN_GPU = "birentech.com/gpu"  # BirenTechnology/k8s-device-plugin
KUNLUN_XPU = "kunlunxin.com/xpu"  # HAMi charts/hami/values.yaml

# NVIDIA Topograph 1.x / 0.2-0.5 - NVIDIA/topograph docs/reference/node-labels.md
TOPOGRAPH_TIER = "fabric.topograph.run/tier-"  # tier-0 is the closest
TOPOGRAPH_LEAF = "network.topology.nvidia.com/leaf"
TOPOGRAPH_SPINE = "network.topology.nvidia.com/spine"
TOPOGRAPH_CORE = "network.topology.nvidia.com/core"
TOPOGRAPH_OLD_LEAF = "network.topology.nvidia.com/block"  # 0.1
TOPOGRAPH_OLD_CORE = "network.topology.nvidia.com/datacenter"  # 0.1

# Google Kubernetes Engine - gke-topology-scheduler
GKE_BLOCK = "cloud.google.com/gce-topology-block"
GKE_SUBBLOCK = "cloud.google.com/gce-topology-subblock"
GKE_HOST = "cloud.google.com/gce-topology-host"
GKE_OLD_CLUSTER = "topology.gke.io/cluster"
GKE_OLD_RACK = "topology.gke.io/rack"

# AWS EKS: layer 1 is the broadest - docs.aws.amazon.com, EKS ml-workload-topology
AWS_LAYER_1 = "topology.k8s.aws/network-node-layer-1"
AWS_LAYER_2 = "topology.k8s.aws/network-node-layer-2"
AWS_LAYER_3 = "topology.k8s.aws/network-node-layer-3"
AWS_LAYER_4 = "topology.k8s.aws/network-node-layer-4"  # only on types with four layers

# CoreWeave - docs.coreweave.com
COREWEAVE_FABRIC = "ib.coreweave.cloud/fabric"
COREWEAVE_SUPERPOD = "ib.coreweave.cloud/superpod"
COREWEAVE_LEAFGROUP = "ib.coreweave.cloud/leafgroup"

# Oracle OKE - oci-hpc-oke labeler; the value "no-imds-data" means unknown
OCI_ISLAND = "oci.oraclecloud.com/rdma.hpc_island_id"
OCI_NETWORK_BLOCK = "oci.oraclecloud.com/rdma.network_block_id"
OCI_LOCAL_BLOCK = "oci.oraclecloud.com/rdma.local_block_id"
OCI_UNKNOWN = "no-imds-data"

# Unifabric (RoCE by LLDP) - unifabric-io/unifabric docs/design/scaleout-topology.zh.md
UNIFABRIC_LEAF = "unifabric.io/scale-out-leaf"
UNIFABRIC_SPINE = "unifabric.io/scale-out-spine"
UNIFABRIC_CORE = "unifabric.io/scale-out-core"

# LeaderWorkerSet and DisaggregatedSet - kubernetes-sigs/lws api/leaderworkerset/v1, api/disaggregatedset/v1
LWS_GROUP = "leaderworkerset.x-k8s.io"
DISAGGREGATED_GROUP = "disaggregatedset.x-k8s.io"
LWS_NAME = "leaderworkerset.sigs.k8s.io/name"
LWS_GROUP_INDEX = "leaderworkerset.sigs.k8s.io/group-index"  # opaque: not always a number
LWS_GROUP_KEY = "leaderworkerset.sigs.k8s.io/group-key"
LWS_WORKER_INDEX = "leaderworkerset.sigs.k8s.io/worker-index"  # 0 is the leader
LWS_REVISION = "leaderworkerset.sigs.k8s.io/template-revision-hash"
LWS_SUBGROUP_INDEX = "leaderworkerset.sigs.k8s.io/subgroup-index"
LWS_SUBGROUP_KEY = "leaderworkerset.sigs.k8s.io/subgroup-key"
LWS_SIZE = "leaderworkerset.sigs.k8s.io/size"
LWS_LEADER_NAME = "leaderworkerset.sigs.k8s.io/leader-name"
LWS_EXCLUSIVE = "leaderworkerset.sigs.k8s.io/exclusive-topology"
LWS_SUBGROUP_SIZE = "leaderworkerset.sigs.k8s.io/subgroup-size"
LWS_SUBGROUP_TYPE = "leaderworkerset.sigs.k8s.io/subgroup-policy-type"
LWS_SUBGROUP_EXCLUSIVE = "leaderworkerset.sigs.k8s.io/subgroup-exclusive-topology"
LWS_SUBDOMAIN = "leaderworkerset.sigs.k8s.io/subdomainPolicy"
DISAGGREGATED_NAME = "disaggregatedset.x-k8s.io/name"
DISAGGREGATED_ROLE = "disaggregatedset.x-k8s.io/role"
DISAGGREGATED_SLICE = "disaggregatedset.x-k8s.io/slice"
DISAGGREGATED_REVISION = "disaggregatedset.x-k8s.io/revision"

# llmaz - InftyAI/llmaz api/core/v1alpha1, api/inference/v1alpha1
LLMAZ_GROUP = "llmaz.io"
LLMAZ_INFERENCE_GROUP = "inference.llmaz.io"
LLMAZ_MODEL = "llmaz.io/model-name"
LLMAZ_FLAVORS = "llmaz.io/inference-service-flavors"
LLMAZ_FAMILY = "llmaz.io/model-family-name"

# PodGroups: Kubernetes, scheduler-plugins, Volcano, KAI
SCHEDULING_GROUP = "scheduling.k8s.io"
SCHEDULER_PLUGINS_GROUP = "scheduling.x-k8s.io"
VOLCANO_GROUP = "scheduling.volcano.sh"
KAI_GROUP = "scheduling.run.ai"
SCHEDULER_PLUGINS_POD_GROUP = "scheduling.x-k8s.io/pod-group"  # label
VOLCANO_POD_GROUP = "scheduling.k8s.io/group-name"  # annotation
KAI_POD_GROUP = "pod-group-name"  # annotation
KAI_SUBGROUP = "kai.scheduler/subgroup-name"  # label
VOLCANO_TASK = "volcano.sh/task-spec"  # annotation and label
VOLCANO_PARTITION = "volcano.sh/partition-id"  # label

# KServe - pkg/constants; llm-d - llm-d-modelservice charts, KServe's LLMInferenceService
KSERVE_SERVICE = "serving.kserve.io/inferenceservice"  # label
KSERVE_MODEL_URI = "internal.serving.kserve.io/storage-initializer-sourceuri"  # annotation
KSERVE_GROUP = "serving.kserve.io"
LLMD_ROLE = "llm-d.ai/role"  # label: prefill, decode, both
LLMD_MODEL = "llm-d.ai/model"  # label

# Caches of models: Fluid pkg/common/label.go, OME pkg/constants/constants.go, Manta api/v1alpha1
FLUID_GROUP = "data.fluid.io"
FLUID_WORKER = "fluid.io/s-"  # then <namespace>-<dataset>; also s-<runtime>-...
FLUID_WORKER_SIZE = "fluid.io/s-h-"  # then <runtime>-<m, d or t>-<namespace>-<dataset>
OME_GROUP = "ome.io"
OME_LABELS = "models.ome.io/"  # then clusterbasemodel.<name> or <namespace>.basemodel.<name>
OME_CLUSTER_MODEL = "clusterbasemodel"
OME_MODEL = "basemodel"
MANTA_GROUP = "manta.io"

POD_ANNOTATIONS = frozenset(
    {
        LWS_SIZE, LWS_LEADER_NAME, LWS_EXCLUSIVE, LWS_SUBGROUP_SIZE, LWS_SUBGROUP_TYPE,
        LWS_SUBGROUP_EXCLUSIVE, LLMAZ_FLAVORS, VOLCANO_POD_GROUP, KAI_POD_GROUP, VOLCANO_TASK,
        KUEUE_REQUIRED, KUEUE_PREFERRED, KUEUE_UNCONSTRAINED, KUEUE_SLICE_LEVEL, KUEUE_SLICE_SIZE,
        KUEUE_SLICES, KUEUE_PODSET_GROUP, KUEUE_WORKLOAD, KUEUE_POD_GROUP_COUNT, KSERVE_MODEL_URI,
    }
)  # fmt: skip
"""Annotations of others that are read from pods; all the rest are not kept."""

GANG_LABELS = frozenset(
    {SCHEDULER_PLUGINS_POD_GROUP, KSERVE_SERVICE, LLMD_ROLE, LLMD_MODEL, LLMAZ_MODEL}
)
GANG_ANNOTATIONS = frozenset(
    {
        VOLCANO_POD_GROUP, KAI_POD_GROUP, KUEUE_REQUIRED, KUEUE_PREFERRED, KUEUE_UNCONSTRAINED,
        KUEUE_SLICE_LEVEL, KUEUE_SLICES,
    }
)  # fmt: skip
"""With ``GANG_LABELS``: what in anybody's pod template makes its pods members of a gang."""
