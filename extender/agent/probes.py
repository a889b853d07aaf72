"""What vendors' tools and libraries say, where they are installed: texts for ``topology.scan.outputs``."""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from topology.scan import outputs
from topology.scan.files import MAX_TEXT

COMMANDS: Mapping[str, tuple[str, ...]] = {
    outputs.NVIDIA_QUERY: (
        "nvidia-smi",
        "--query-gpu=index,uuid,name,pci.bus_id,memory.total",
        "--format=csv,noheader,nounits",
    ),
    outputs.NVIDIA_MATRIX: ("nvidia-smi", "topo", "-m"),
    outputs.NPU_MATRIX: ("npu-smi", "info", "-t", "topo"),
    outputs.LLDP: ("lldpcli", "show", "neighbors", "-f", "json0"),
}
"""Path of the text -> the command that prints it."""

_SECONDS = 10.0
_UUID_BYTES = 16


def texts(seconds: float = _SECONDS) -> dict[str, str]:
    """The texts of all tools that are installed; of one that fails or takes too long an empty one."""
    found = {
        path: _run(command, seconds)
        for path, command in COMMANDS.items()
        if shutil.which(command[0])
    }
    library = _nvml()
    return found if library is None else {**found, outputs.NVML: json.dumps(library)}


def _run(command: tuple[str, ...], seconds: float) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - fixed words, no shell
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "" if done.returncode else done.stdout[:MAX_TEXT].decode(errors="replace")


def _nvml() -> list[dict[str, Any]] | None:
    """What the library of NVIDIA's driver says, if its Python binding and the driver are there."""
    try:
        nvml: Any = importlib.import_module("pynvml")
        nvml.nvmlInit()
    except Exception:  # noqa: BLE001 - not installed, or no driver: the binding has an error type per cause
        return None
    try:
        return [_gpu(nvml, index) for index in range(nvml.nvmlDeviceGetCount())]
    except Exception:  # noqa: BLE001 - as above
        return []
    finally:
        nvml.nvmlShutdown()


def _gpu(nvml: Any, index: int) -> dict[str, Any]:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    found = {
        "index": index,
        "busId": _text(nvml.nvmlDeviceGetPciInfo(handle).busId),
        "uuid": _text(_asked(lambda: nvml.nvmlDeviceGetUUID(handle))),
        "name": _text(_asked(lambda: nvml.nvmlDeviceGetName(handle))),
        "memory": _asked(lambda: nvml.nvmlDeviceGetMemoryInfo(handle).total),
    }
    fabric = _asked(lambda: _fabric(nvml, handle))
    return {**found, "fabric": fabric} if fabric else found


def _fabric(nvml: Any, handle: Any) -> dict[str, Any] | None:
    """Multi-node NVLink, by nvidia-ml-py 13; None where the binding is older."""
    info = nvml.c_nvmlGpuFabricInfo_v2_t()
    nvml.nvmlDeviceGetGpuFabricInfoV(handle, ctypes.byref(info))
    raw = bytes(info.clusterUuid)
    if len(raw) != _UUID_BYTES:
        return None  # older bindings cut it at the first zero byte
    return {
        "state": info.state,
        "clusterUuid": str(uuid.UUID(bytes=raw)),
        "cliqueId": info.cliqueId,
    }


def _asked(question: Callable[[], Any]) -> Any:
    """The answer; None when this driver has none."""
    try:
        return question()
    except Exception:  # noqa: BLE001 - the binding has an error type per cause
        return None


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")
