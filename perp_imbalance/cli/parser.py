"""The argument parser of all commands: one-line errors, and help that fits the terminal."""

import argparse
import textwrap
from collections.abc import Iterable, Sequence
from itertools import groupby, takewhile
from typing import Any, NoReturn

EXIT_USAGE = 2


class Parser(argparse.ArgumentParser):
    """An ``ArgumentParser`` whose errors suggest the nearest known word; usage is not printed.

    Options cannot be abbreviated. Subparsers use the same class.

    >>> Parser(prog="trade").parse_args(["--halp"])  # doctest: +SKIP
    trade: unknown option --halp: did you mean --help?
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": _Help, **options})

    def error(self, message: str) -> NoReturn:
        """Print one line to standard error and exit with code 2."""
        hint = "" if "did you mean" in message else f"; see {self.prog} --help"
        self.exit(EXIT_USAGE, f"{self.prog}: {' '.join(message.split())}{hint}\n")

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse as ``argparse`` does, but raise for unknown arguments, so that none are left over.

        Unknown options are reported first: a misspelt required option is not called missing.
        """
        if args is not None:
            self._refuse_unknown_options(args)
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            self.error(f"unexpected argument {rest[0]}")
        return found, rest

    def _refuse_unknown_options(self, words: Sequence[str]) -> None:
        known = self._option_string_actions
        has_commands = self._subparsers is not None
        for word in takewhile(lambda word: word != "--", words):
            name = word.partition("=")[0]
            if has_commands and not word.startswith("-"):
                # The options after this word belong to the subcommand.
                break
            # A short option may be joined to its value. Numbers and "-" are values.
            is_option = word.startswith("--") or word[1:2].isalpha()
            if not word.startswith("-") or not is_option or name in known or " " in word:
                continue
            if word.startswith("--") or word[:2] not in known:
                behind = ": options of a command follow its name" if has_commands else ""
                # One letter is too short for a suggestion: every short option would be near.
                nearest = did_you_mean(name, known) if word.startswith("--") else ""
                self.error(f"unknown option {name}{nearest or behind}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        choices = [str(choice) for choice in action.choices]
        hint = did_you_mean(str(value), choices) or f": choose from {', '.join(choices)}"
        if isinstance(action, argparse._SubParsersAction):
            raise argparse.ArgumentError(None, f"unknown command {value}{hint}")
        raise argparse.ArgumentError(action, f"invalid choice: {value!r}{hint}")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of a message that suggests the nearest known word; empty if none is near.

    >>> did_you_mean("--timerang", ["--timerange", "--pairs"])
    ': did you mean --timerange?'
    """
    # Imported late: only a wrong word needs it.
    from difflib import get_close_matches

    nearest = get_close_matches(word, list(known), n=1)
    return f": did you mean {nearest[0]}?" if nearest else ""


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help formatter that wraps prose at the terminal's width; indented lines stay unchanged."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines = list[str]()
        for is_prose, group in groupby(
            text.strip("\n").splitlines(), lambda line: line != "" and not line.startswith(" ")
        ):
            if is_prose:
                prose = " ".join(group)
                lines += textwrap.wrap(prose, width, break_long_words=False, break_on_hyphens=False)
            else:
                lines += group
        return "".join(f"{indent}{line}\n" for line in lines)
