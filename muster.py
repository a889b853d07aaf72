"""The `muster` command: `muster --help`, or `python -m muster`.

Every sub-command is a module with `add_arguments(parser)` and `run(args) -> int`. Only the module of
the command that was asked for is imported: `muster plan` must answer within two seconds of its
start and needs neither gRPC nor a web server for it.
"""

from __future__ import annotations

import argparse
import importlib
import os
import select
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

COMMANDS: Mapping[str, tuple[str, str]] = {
    "serve": ("extender.main", "extender, planner, gRPC and metrics in one process"),
    "agent": (
        "extender.agent.main",
        "what this node is made of, printed or reported to the service",
    ),
    "plan": ("extender.tools.plan", "what would be decided for these manifests, offline"),
    "explain": ("extender.tools.explain", "why a gang waits, or sits where it sits"),
    "status": ("extender.tools.status", "gangs, reservations and free capacity"),
    "topology": ("extender.tools.topology", "the fleet as Muster understands it"),
    "annotate": ("extender.tools.annotate", "make manifests ready for use without admission"),
    "release": ("extender.release", "let pods schedule without Muster: the way out"),
    "cluster": ("simulations.controlplane.cli", "a local real control plane with KWOK nodes"),
}
"""Name of each command -> its module, and one line of help."""

INTERRUPTED, BROKEN_PIPE = 130, 141
"""Exit codes of a program that SIGINT or SIGPIPE ended, as shells report them."""

_USAGE_ERROR = 2


class Parser(argparse.ArgumentParser):
    """Answers a usage error with one line; sub-parsers inherit that."""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2."""
        self.exit(_USAGE_ERROR, f"{self.prog}: {message} (try {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. Raises `SystemExit` for `--help` and usage errors."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    try:
        args = _parser(arguments[0] if arguments else None).parse_args(arguments)
        code: int = args.run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        if _stdout_works():  # then it was another pipe or socket, and a bug
            raise
        return BROKEN_PIPE
    return code


def _parser(chosen: str | None) -> Parser:
    """All commands by name, and the options of the chosen one."""
    parser = Parser(prog="muster", description="Places gangs of pods, whole or not at all.")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (path, summary) in COMMANDS.items():
        module = importlib.import_module(path) if name == chosen else None
        if module is not None and name == "cluster":
            module.add_arguments(commands)  # has actions of its own and adds its parser itself
            parser.set_defaults(run=module.run)
            continue
        command = commands.add_parser(name, help=summary, description=f"{summary}.")
        if module is not None:
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser


def _stdout_works() -> bool:
    """Whether somebody still reads our output; if not, Python's last flush at exit stays quiet."""
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)  # errors and hang-ups are reported in any case
    if not output.poll(0):
        return True
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return False


class _Version(argparse.Action):
    """`importlib.metadata` is imported only when somebody asks."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        parser.exit(message=f"muster {version('muster')}\n")


if __name__ == "__main__":
    sys.exit(main())
