"""Generated code is committed, and is what the generator makes of the .proto files now."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.tree import PACKAGES, ROOT

PROTOS = sorted(
    str(path.relative_to(ROOT)) for p in PACKAGES for path in (ROOT / p).rglob("*.proto")
)
OUTPUTS = ("python", "pyi", "grpc_python")


@pytest.mark.parametrize("proto", PROTOS)
def test_grpc_code_is_current(proto: str, tmp_path: Path) -> None:
    """`make proto` would change nothing."""
    options = [f"--{output}_out={tmp_path}" for output in OUTPUTS]
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "-I.", *options, proto], cwd=ROOT, check=True
    )
    made = {path.relative_to(tmp_path) for path in tmp_path.rglob("*.py*")}
    assert len(made) == len(OUTPUTS)
    stale = [
        str(file) for file in made if (tmp_path / file).read_bytes() != (ROOT / file).read_bytes()
    ]
    assert not stale, f"run `make proto`: {stale}"
