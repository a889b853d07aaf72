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
OLD_ZONE = "failure-domain.beta.kubernetes.io/zone"
OLD_REGION = "failure-domain.beta.kubernetes.io/region"
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
KAI_TOPOLOGY_GROUP = "kai.scheduler"  # the same shape
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

# Muster's own labels of a node, for operators: the class of its cards and the memory of one, whatever plugins
# say. All other names of our own are in scheduler/keys.py; these are read in this layer.
DEVICE_CLASS = "muster.dev/device-class"
DEVICE_MEMORY = "muster.dev/device-memory"

# NVIDIA device plugin and GPU feature discovery - NVIDIA/k8s-device-plugin docs/gpu-feature-discovery
NVIDIA_GPU = "nvidia.com/gpu"
NVIDIA_GPU_SHARED = "nvidia.com/gpu.shared"
NVIDIA_PRODUCT = "nvidia.com/gpu.product"
NVIDIA_MEMORY_MIB = "nvidia.com/gpu.memory"
NVIDIA_COUNT = "nvidia.com/gpu.count"
NVIDIA_REPLICAS = "nvidia.com/gpu.replicas"
NVIDIA_SHARING = "nvidia.com/gpu.sharing-strategy"
NVIDIA_CLIQUE = "nvidia.com/gpu.clique"  # <ClusterUUID>.<CliqueID>: one multi-node NVLink domain
NVIDIA_HAMI = "nvidia.com/gpu[mc]*"  # gpumem, gpumem-percentage, gpucores: HAMi's parts of a card

# AMD device plugin and node labeller - ROCm/k8s-device-plugin docs/user-guide/configuration.md,
# cmd/k8s-node-labeller
AMD_GPU = "amd.com/gpu"
AMD_SPX = tuple(f"amd.com/spx_nps{n}" for n in (1, 2, 4))  # "mixed" strategy, whole cards
AMD_PRODUCT = "amd.com/gpu.product-name"
AMD_MEMORY = "amd.com/gpu.vram"
AMD_PARTITION = "amd.com/compute-memory-partition"
AMD_OLD_PRODUCT = "beta.amd.com/gpu.product-name"
AMD_OLD_MEMORY = "beta.amd.com/gpu.vram"
AMD_HAMI = "amd.com/gpu[mc]*"

# Intel Gaudi device plugin - docs.habana.ai, Intel Gaudi Base Operator
GAUDI = "habana.ai/gaudi"
INSTANCE_TYPE = "node.kubernetes.io/instance-type"  # of Kubernetes, written by clouds

# Huawei Ascend - Ascend/mind-cluster docs/en/scheduling/api/k8s.md
ASCEND_910 = "huawei.com/Ascend910"
ASCEND_NPU = "huawei.com/npu"  # the 950 generation
ASCEND_310P = "huawei.com/Ascend310P"
ASCEND_310 = "huawei.com/Ascend310"
ASCEND_CCE = "huawei.com/ascend-1980"  # Huawei CCE, 910B class
ASCEND_CCE_310 = "huawei.com/ascend-310"
ASCEND_910_HAMI = tuple(  # HAMi: one resource per chip
    f"huawei.com/Ascend{chip}" for chip in ("910A", "910B2", "910B3", "910B4", "910B4-1", "910C")
)
ASCEND_CARDS = (ASCEND_910, ASCEND_NPU, ASCEND_310P, ASCEND_310, ASCEND_CCE, *ASCEND_910_HAMI)
ASCEND_HAMI_PARTS = ("huawei.com/*-memory", "huawei.com/*-core")
ASCEND_NPU_CORE = "huawei.com/npu-core"  # dynamic vNPU
ASCEND_CHIP = "node.kubernetes.io/npu.chip.name"
ASCEND_MEMORY = "mind-cluster/npu-chip-memory"
ASCEND_ACCELERATOR = "accelerator"
ASCEND_ACCELERATOR_TYPE = "accelerator-type"
ASCEND_REAL = "huawei.com/AscendReal"  # annotation of a pod: the cards that its containers have got
ASCEND_SP_BLOCK = "sp-block"  # annotation of a pod: so many chips of its job stand in one super-pod
ASCEND_CARD_LIST = (
    "mindx-dl-deviceinfo-"  # prefix of the name of a ConfigMap, before that of the node
)
ASCEND_INFER_CARD = "infer-card-type"
ASCEND_SUPER_POD = "huawei.com/topotree.superpodid"
ASCEND_SOFT_SHARE = "huawei.com/scheduler.chip1softsharedev.enable"

# Iluvatar - Deep-Spark/ix-device-plugin, Deep-Spark/ix-feature-discovery; HAMi charts, device-configmap.yaml
ILUVATAR_GPU = "iluvatar.com/gpu"
ILUVATAR_PRODUCT = "iluvatar.com/gpu.product"
ILUVATAR_MEMORY_MIB = "iluvatar.com/gpu.memory"
ILUVATAR_COUNT = "iluvatar.com/gpu.count"
ILUVATAR_CHIPS = ("BI-V100", "BI-V150", "MR-V50", "MR-V100")
ILUVATAR_VGPU = tuple(f"iluvatar.ai/{chip}-vgpu" for chip in ILUVATAR_CHIPS)
ILUVATAR_VCORE = tuple(f"iluvatar.ai/{chip}.vCore" for chip in ILUVATAR_CHIPS)
ILUVATAR_VMEM = tuple(f"iluvatar.ai/{chip}.vMem" for chip in ILUVATAR_CHIPS)
ILUVATAR_DEVICES = "iluvatar.com/DevVolcano"  # annotation of a pod
ILUVATAR_REAL = "iluvatar.com/DevRealAlloc"  # annotation of a pod: the devices that it has got
ILUVATAR_CARD_LIST = (
    "ix-device-info-cm-"  # prefix of the name of a ConfigMap, before that of the node
)

# Biren - BirenTechnology/k8s-device-plugin pkg/brgpu/runc.go
BIREN_GPU = "birentech.com/gpu"

# Kunlunxin - Project-HAMi/HAMi charts/hami/values.yaml, pkg/device/kunlun
KUNLUN_XPU = "kunlunxin.com/xpu"
KUNLUN_VXPU = "kunlunxin.com/vxpu*"
KUNLUN_DEVICES = "BAIDU_COM_DEVICE_IDX"  # annotation of a pod

# Cambricon - Cambricon/cambricon-k8s-device-plugin device-plugin/README.md, pkg/mlu, pkg/nodeLabel
CAMBRICON_MLU = "cambricon.com/mlu"
CAMBRICON_TYPED = tuple(  # with --enable-device-type
    f"cambricon.com/mlu{n}" for n in ("220", "270", "270-x5k", "290", "370", "580", "590")
)
CAMBRICON_VMLU = "cambricon.com/vmlu"  # HAMi
CAMBRICON_SMLU = "cambricon.com/mlu*.smlu.v*"  # vcore and vmemory of dynamic sMLU
CAMBRICON_COUNT = "cambricon.com/real-mlu-counts"  # a resource
CAMBRICON_PRODUCT = "Model"  # without a domain: read only beside a resource of Cambricon

# Hygon - HYGON-AI/k8s-hcu-device-plugin, k8s-hcu-label-node; the older names say dcu for hcu
HYGON_HCU = "hygon.com/hcu"
HYGON_DCU = "hygon.com/dcu"
HYGON_SLOTS = ("hygon.com/hcunum", "hygon.com/dcunum")
HYGON_CORES = ("hygon.com/hcucores", "hygon.com/dcucores")
HYGON_PARTS = tuple(
    f"hygon.com/{one}-{part}-*" for one in ("hcu", "dcu") for part in ("share", "mig")
)
HYGON_PRODUCT = "hygon.com/hcu.name"
HYGON_MEMORY = "hygon.com/hcu.vram"
HYGON_OLD_PRODUCT = "hygon.com/dcu.name"
HYGON_OLD_MEMORY = "hygon.com/dcu.vram"

# Moore Threads - Project-HAMi/HAMi pkg/device/mthreads
MTHREADS_GPU = "mthreads.com/gpu"
MTHREADS_VGPU = "mthreads.com/vgpu"
MTHREADS_CORE = "mthreads.com/sgpu-core"
MTHREADS_MEMORY = "mthreads.com/sgpu-memory"
MTHREADS_DEVICES = "mthreads.com/gpu-index"  # annotation of a pod
MTHREADS_TIME = "mthreads.com/predicate-time"  # annotation of a pod
MTHREADS_NODE = "mthreads.com/predicate-node"  # annotation of a pod

# MetaX - Project-HAMi/HAMi pkg/device/metax; labels of the MetaX GPU operator
METAX_GPU = "metax-tech.com/gpu"
METAX_SGPU = "metax-tech.com/sgpu"
METAX_PRODUCT = "metax-tech.com/gpu.product"
METAX_MEMORY = "metax-tech.com/gpu.memory"

# Enflame - Project-HAMi/HAMi pkg/device/enflame; EnflameTechnology, GCU feature discovery
ENFLAME_GCU = "enflame.com/gcu"
ENFLAME_SHARED = ("enflame.com/drs-gcu", "enflame.com/shared-gcu")
ENFLAME_PRODUCT = "enflame.com/gcu.model"
ENFLAME_MEMORY_MIB = "enflame.com/gcu.memory"
ENFLAME_COUNT = "enflame.com/gcu.count"

# HAMi's registers of devices, annotations of nodes - Project-HAMi/HAMi pkg/device/*/device.go
HAMI_NVIDIA = "hami.io/node-nvidia-register"
HAMI_AMD = "hami.io/node-amd-register"
HAMI_ASCEND = tuple(
    f"hami.io/node-register-Ascend{chip}"
    for chip in ("910A", "910B2", "910B3", "910B4", "910B4-1", "910C", "310P")
)
HAMI_ASCEND_ALLOCATED = tuple(  # annotations of a pod
    f"{name.replace('node-register-', '')}-devices-allocated" for name in HAMI_ASCEND
)
HAMI_ILUVATAR = tuple(f"hami.io/node-{chip}-register" for chip in ILUVATAR_CHIPS)
HAMI_BIREN = "hami.io/node-biren-register"
HAMI_HYGON = ("hami.io/node-hcu-register", "hami.io/node-dcu-register")
HAMI_CAMBRICON = "hami.io/node-mlu-register"
PREDICATE_TIME = (
    "predicate-time"  # annotation of a pod: Ascend's and Iluvatar's plugins take the oldest
)

CARD_LISTS = (
    ASCEND_REAL, ASCEND_910, ASCEND_NPU, ASCEND_310P, KUNLUN_DEVICES, MTHREADS_DEVICES,
)  # fmt: skip
"""Annotations of a pod that say which cards it holds, by number; what came true before what was meant."""
DEVICE_LISTS = (ILUVATAR_REAL, ILUVATAR_DEVICES)
"""The same by identifiers of the cards."""

# NVIDIA Topograph 1.x / 0.2-0.5 - NVIDIA/topograph docs/reference/node-labels.md
TOPOGRAPH_TIER = "fabric.topograph.run/tier-"  # tier-0 is the closest
TOPOGRAPH_LEAF = "network.topology.nvidia.com/leaf"
TOPOGRAPH_SPINE = "network.topology.nvidia.com/spine"
TOPOGRAPH_CORE = "network.topology.nvidia.com/core"
TOPOGRAPH_OLD_LEAF = "network.topology.nvidia.com/block"  # 0.1
TOPOGRAPH_OLD_CORE = "network.topology.nvidia.com/datacenter"  # 0.1
TOPOGRAPH_DOMAIN = "accelerator.topograph.run/domain"  # the NVLink domain
TOPOGRAPH_SUBDOMAIN = "accelerator.topograph.run/sub-domain"
TOPOGRAPH_ACCELERATOR = "network.topology.nvidia.com/accelerator"  # the same, up to 0.5

# Google Kubernetes Engine - gke-topology-scheduler
GKE_BLOCK = "cloud.google.com/gce-topology-block"
GKE_SUBBLOCK = "cloud.google.com/gce-topology-subblock"
GKE_HOST = "cloud.google.com/gce-topology-host"
GKE_PLACEMENT = "cloud.google.com/gke-placement-group"  # compact placement
GKE_OLD_ZONE = "topology.gke.io/zone"
GKE_OLD_CLUSTER = "topology.gke.io/cluster"
GKE_OLD_RACK = "topology.gke.io/rack"
GKE_RDMA = "networking.gke.io.networks/rdma-*"  # one per network card

# AWS EKS: layer 1 is the broadest - docs.aws.amazon.com, EKS ml-workload-topology, SageMaker HyperPod
AWS_LAYER_1 = "topology.k8s.aws/network-node-layer-1"
AWS_LAYER_2 = "topology.k8s.aws/network-node-layer-2"
AWS_LAYER_3 = "topology.k8s.aws/network-node-layer-3"
AWS_LAYER_4 = "topology.k8s.aws/network-node-layer-4"  # only on types with four layers
AWS_CAPACITY_BLOCK = "topology.k8s.aws/capacity-block-id"
AWS_ULTRASERVER = "topology.k8s.aws/ultraserver-id"  # one NVLink domain
AWS_EFA = "vpc.amazonaws.com/efa"

# CoreWeave - docs.coreweave.com; leaf group numbers are counted anew in every fabric
COREWEAVE_FABRIC = "ib.coreweave.cloud/fabric"
COREWEAVE_SUPERPOD = "ib.coreweave.cloud/superpod"
COREWEAVE_LEAFGROUP = "ib.coreweave.cloud/leafgroup"
COREWEAVE_NEW_FABRIC = "backend.coreweave.cloud/fabric"
COREWEAVE_NEW_LEAFGROUP = "backend.coreweave.cloud/leafgroup"
COREWEAVE_NEW_LINKS = "backend.coreweave.cloud/"
COREWEAVE_RACK = "node.coreweave.cloud/rack"
COREWEAVE_NVLINK = "ds.coreweave.com/nvlink.domain"
COREWEAVE_LINKS = "ib.coreweave.cloud/"  # speed, ports.current, neighbors.expected.<if>.device ...
COREWEAVE_SPEED = "ib.coreweave.cloud/speed"

# Oracle OKE - oci-hpc-oke labeler; the value "no-imds-data" means unknown
OCI_ISLAND = "oci.oraclecloud.com/rdma.hpc_island_id"
OCI_NETWORK_BLOCK = "oci.oraclecloud.com/rdma.network_block_id"
OCI_LOCAL_BLOCK = "oci.oraclecloud.com/rdma.local_block_id"
OCI_HOST_BLOCK = "oci.oraclecloud.com/host.network_block_id"
OCI_HOST_RACK = "oci.oraclecloud.com/host.rack_id"
OCI_NVLINK = "oci.oraclecloud.com/host.gpu_memory_fabric_id"
OCI_UNKNOWN = "no-imds-data"

# Crusoe - docs.nvidia.com/topograph/providers/crusoe
CRUSOE_POD = "crusoe.ai/pod.id"  # nodes on the same leaves, one per rail
CRUSOE_PARTITION = "crusoe.ai/ib.partition.id"

# Unifabric (RoCE by LLDP) - unifabric-io/unifabric docs/design/scaleout-topology.zh.md, topology-crd.md
UNIFABRIC_LEAF = "unifabric.io/scale-out-leaf"
UNIFABRIC_SPINE = "unifabric.io/scale-out-spine"
UNIFABRIC_CORE = "unifabric.io/scale-out-core"
UNIFABRIC_SCALE_UP = "unifabric.io/scale-up"
UNIFABRIC_TIER = "unifabric.scale-out.io/tier-"  # tier-1 is the closest
UNIFABRIC_SCALE_UP_TIER = "unifabric.scale-up.io/tier-1"

# Volcano: HyperNodes and the labels that it discovers them by - volcano-sh/volcano docs/user-guide
VOLCANO_TOPOLOGY_GROUP = "topology.volcano.sh"
VOLCANO_TOR = "volcano.sh/tor"
VOLCANO_HYPERNODE = "volcano.sh/hypernode"
VOLCANO_HYPERCLUSTER = "volcano.sh/hypercluster"

# openFuyao: super-pods of Ascend cards
OPENFUYAO_SUPER_POD = "unifiedbus.com/superpod"
ASCEND_RACK = "huawei.com/topotree.rackid"  # the 950 generation

# RDMA resources: CoreWeave, AKS, OpenShift, the shared device plugin
RDMA_IB = "rdma/ib"
RDMA_SHARED_IB = "rdma/shared_ib"
RDMA_ROCE = "rdma/roce_gdr"
RDMA_ANY = "rdma/*"

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
LWS_AFTER_START = "leaderworkerset.sigs.k8s.io/experimental-recreate-group-after-start"
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
        ASCEND_SP_BLOCK,
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

# Kubernetes, dynamic resource allocation - KEP-5004; NVIDIA's driver
RESOURCE_GROUP = "resource.k8s.io"
DEVICE_CLASS_RESOURCE = "deviceclass.resource.kubernetes.io/"  # then the name of a DeviceClass
DRA_NVIDIA = "gpu.nvidia.com"

# Kubernetes: where the pod of a service account's token runs, in the answer to a TokenReview (KEP 4193)
TOKEN_NODE = "authentication.kubernetes.io/node-name"
TOKEN_NODE_UID = "authentication.kubernetes.io/node-uid"
