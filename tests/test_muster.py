"""The command line itself: what it lists, how fast it starts, how it fails."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys

import pytest

import muster

HEAVY = {
    "aiohttp",
    "asyncio",
    "grpc",
    "kubernetes",
    "ortools",
    "numpy",
    "yaml",
    "extender",
    "scheduler",
}
SERVICE_ONLY = {"aiohttp", "grpc", "kubernetes", "prometheus_client", "simulations"}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m muster ...` as a process of its own."""
    command = [sys.executable, "-m", "muster", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def imported_by(*arguments: str) -> set[str]:
    """Names of the top-level modules that a command imports before it does its work."""
    code = (
        "import json, sys, muster\n"
        f"try: muster.main({list(arguments)!r})\n"
        "except SystemExit: pass\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    names: list[str] = json.loads(output.stdout.splitlines()[-1])
    return {name.partition(".")[0] for name in names}


def test_help_imports_nothing() -> None:
    """The list of commands is there at once: no command is imported for it."""
    assert not imported_by("--help") & HEAVY


def test_offline_tools_do_not_load_the_service() -> None:
    """`muster plan` answers within two seconds of its start, so it loads no client and no server."""
    assert not imported_by("plan", "--help") & SERVICE_ONLY


@pytest.mark.parametrize("command", muster.COMMANDS)
def test_every_command_has_help(command: str) -> None:
    """Each listed command exists, imports and explains its options."""
    answer = run(command, "--help")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith(f"usage: muster {command} ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "muster: the following arguments are required: COMMAND"),
        (("plann",), "muster: argument COMMAND: invalid choice: 'plann'"),
        (
            ("plan", "--output", "xml", "-f", "-"),
            "muster plan: argument -o/--output: invalid choice",
        ),
        (("cluster", "sideways"), "muster cluster: argument action: invalid choice: 'sideways'"),
    ],
)
def test_usage_errors_are_one_line(arguments: tuple[str, ...], message: str) -> None:
    """Exit code 2, nothing on stdout, and one line that says what was wrong and where to look."""
    answer = run(*arguments)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.startswith(message)
    assert re.fullmatch(r".*\(try muster.* --help\)\n", answer.stderr)


def test_a_reader_that_leaves_is_no_error() -> None:
    """`muster ... | head -1` ends quietly, with the exit code of SIGPIPE."""
    process = subprocess.Popen(
        [sys.executable, "-c", PRINTS_MUCH],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()
    _, stderr = process.communicate()
    assert (process.returncode, stderr) == (muster.BROKEN_PIPE, "")


PRINTS_MUCH = """
import sys, types, muster
module = types.ModuleType("noisy")
module.add_arguments = lambda parser: None
module.run = lambda args: print("line\\n" * 100_000) or 0
sys.modules["noisy"] = module
muster.COMMANDS = {"noisy": ("noisy", "prints")}
sys.exit(muster.main(["noisy"]))
"""


@pytest.mark.parametrize(
    "error", [ModuleNotFoundError("no module named 'wings'"), BrokenPipeError(32)]
)
def test_bugs_are_not_hidden(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that cannot be imported, or a broken pipe that is not our output, is a traceback."""

    class Broken:
        def add_arguments(self, parser: object) -> None:
            pass

        def run(self, args: object) -> int:
            raise error

    monkeypatch.setitem(sys.modules, "broken", Broken())
    monkeypatch.setattr(muster, "COMMANDS", {"broken": ("broken", "fails")})
    with pytest.raises(type(error)):
        muster.main(["broken"])


def test_interrupt_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends a command with the exit code of SIGINT and no traceback."""

    def interrupted(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib, "import_module", interrupted)
    assert muster.main(["plan"]) == muster.INTERRUPTED
