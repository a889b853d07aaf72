"""Flags of a container's command and arguments: setting one where it stands, adding it, taking it out."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from scheduler.overlay import flag_name

_SHELLS = frozenset({"sh", "bash", "ash", "dash", "zsh"})
_SHELL_OPTIONS = re.compile(r"-[a-z]*c")
_VALUE = r"(?:\"[^\"]*\"|'[^']*'|[^\s;&|<>()\"'\-][^\s;&|<>()\"']*|-\d[^\s;&|<>()\"']*)"
"""A value in a script: quoted, or a word that is no flag."""


def with_flags(
    command: Sequence[str], args: Sequence[str], wanted: Sequence[str], unwanted: Sequence[str]
) -> tuple[list[str], list[str]]:
    """The command and the arguments with some flags set and others taken out.

    Flags of a shell script are changed where they stand and never added: the script may start several
    programs, and which of them a new flag is for cannot be known.
    """
    tokens = [*command, *args]
    script = _script(tokens)
    if script is not None:
        text = tokens[script]
        for flag in wanted:
            text = _set_in_script(text, flag)
        for flag in unwanted:
            text = _drop_from_script(text, flag)
        tokens[script] = text
        return tokens[: len(command)], tokens[len(command) :]
    parts = list(command), list(args)
    for flag in wanted:
        found = [_set(part, flag) for part in parts]
        if not any(found):
            parts[1].append(flag)
    for flag in unwanted:
        for part in parts:
            _drop(part, flag)
    return parts


def _script(tokens: Sequence[str]) -> int | None:
    """Index of the script that a shell is started with."""
    if not tokens or tokens[0].rpartition("/")[2] not in _SHELLS:
        return None
    for index, token in enumerate(tokens[1:-1], start=1):
        if _SHELL_OPTIONS.fullmatch(token):
            return index + 1
    return None


def _set(tokens: list[str], flag: str) -> bool:
    """Set the flag wherever it stands among ``tokens``; whether it does."""
    _, equals, value = flag.partition("=")
    places = [i for i, token in enumerate(tokens) if _is_flag(token, flag)]
    for index in places:
        own, joined, _ = tokens[index].partition("=")
        if not equals or joined or not _is_value(tokens, index + 1):
            tokens[index] = own + equals + value
        else:
            tokens[index + 1] = value
    return bool(places)


def _drop(tokens: list[str], flag: str) -> None:
    for index in reversed(range(len(tokens))):
        if _is_flag(tokens[index], flag):
            apart = "=" in flag and "=" not in tokens[index] and _is_value(tokens, index + 1)
            del tokens[index : index + 1 + apart]


def _is_flag(token: str, flag: str) -> bool:
    return token.startswith("-") and flag_name(token) == flag_name(flag)


def _is_value(tokens: Sequence[str], index: int) -> bool:
    """Whether the token is a value and not the next flag."""
    return index < len(tokens) and re.match(r"-\D|-$", tokens[index]) is None


def _in_script(flag: str) -> str:
    """Pattern of a flag's name in a script."""
    name = flag_name(flag)
    dashes = len(name) - len(name.lstrip("-"))
    rest = re.escape(name[dashes:]).replace(r"\-", "[-_]")
    return rf"(?<![^\s;&|(])({'-' * dashes}{rest})"


def _set_in_script(text: str, flag: str) -> str:
    _, equals, value = flag.partition("=")
    if not equals:
        return text
    return re.sub(
        rf"{_in_script(flag)}(=|[ \t]+){_VALUE}",
        lambda found: found[1] + found[2] + shlex.quote(value),
        text,
    )


def _drop_from_script(text: str, flag: str) -> str:
    value = rf"(?:(?:=|[ \t]+){_VALUE})?" if "=" in flag else rf"(?:={_VALUE})?"
    return re.sub(rf"{_in_script(flag)}{value}(?![^\s;&|)])[ \t]*", "", text)
