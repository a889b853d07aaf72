"""Flags in commands, arguments and shell scripts, by example."""

from __future__ import annotations

import pytest

from scheduler.flags import with_flags

CASES = {
    "joined": (["--tp=8", "--port=1"], ["--tp=4"], [], ["--tp=4", "--port=1"]),
    "apart": (["--tp", "8", "--port", "1"], ["--tp=4"], [], ["--tp", "4", "--port", "1"]),
    "added": (["--port=1"], ["--tp=4", "--eager"], [], ["--port=1", "--tp=4", "--eager"]),
    "underscore": (["--tensor_parallel_size", "8"], ["--tensor-parallel-size=4"], [],
                   ["--tensor_parallel_size", "4"]),
    "negative value": (["--seed", "-1"], ["--seed=2"], [], ["--seed", "2"]),
    "was bare": (["--cache", "--eager"], ["--cache=8"], [], ["--cache=8", "--eager"]),
    "becomes bare": (["--eager=false"], ["--eager"], [], ["--eager"]),
    "every place": (["--tp=8", "--tp=2"], ["--tp=4"], [], ["--tp=4", "--tp=4"]),
    "not a longer name": (["--tp-x=8"], ["--tp=4"], [], ["--tp-x=8", "--tp=4"]),
    "empty value": (["--tp=8"], ["--tp="], [], ["--tp="]),
    "removed": (["--eager", "model", "--tp=8"], [], ["--eager", "--tp"], ["model"]),
    "removed with its value": (["--dtype", "fp8", "--eager"], [], ["--dtype="], ["--eager"]),
    "removed at the end": (["--dtype"], [], ["--dtype="], []),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_flags_of_arguments(name: str) -> None:
    """Set where they stand, in the way they were written, else added."""
    args, wanted, unwanted, expected = CASES[name]
    assert with_flags(["python3", "-m", "x"], args, wanted, unwanted) == (
        ["python3", "-m", "x"],
        expected,
    )


def test_a_flag_of_the_command_stays_there() -> None:
    """SGLang's manifests put everything into ``command``."""
    command = ["python3", "-m", "sglang.launch_server", "--tp", "16", "--nnodes", "2"]
    assert with_flags(command, [], ["--tp=8", "--nnodes=4"], []) == (
        ["python3", "-m", "sglang.launch_server", "--tp", "8", "--nnodes", "4"],
        [],
    )


SCRIPTS = {
    "vLLM's leader": (
        "bash serve.sh leader; python3 -m api --port 8080 --tensor-parallel-size 8 --pp=2",
        ["--tensor-parallel-size=4", "--pp=4"],
        [],
        "bash serve.sh leader; python3 -m api --port 8080 --tensor-parallel-size 4 --pp=4",
    ),
    "vLLM's worker": ("bash serve.sh worker --ray_address=$A", ["--tp=4"], [],
                      "bash serve.sh worker --ray_address=$A"),
    "quoted": ("api --hf 'a b'; true", ["--hf=c d"], [], "api --hf 'c d'; true"),
    "not a bare one": ("api --tp --eager", ["--tp=4"], [], "api --tp --eager"),
    "not inside a word": ("api x--tp=8", ["--tp=4"], [], "api x--tp=8"),
    "not a longer name": ("api --tp-x=8", ["--tp=4"], [], "api --tp-x=8"),
    "removed": ("api --eager --dtype fp8 --tp 8; end", [], ["--eager", "--dtype="],
                "api --tp 8; end"),
}  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
def test_flags_of_a_script(name: str) -> None:
    """Changed where they stand, never added: a script may start several programs."""
    script, wanted, unwanted, expected = SCRIPTS[name]
    found = with_flags(["/bin/sh", "-c"], [script], wanted, unwanted)
    assert found == (["/bin/sh", "-c"], [expected])
    assert with_flags(["bash", "-ec", script], [], wanted, unwanted)[0][2] == expected
