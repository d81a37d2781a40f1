"""``perp-imbalance --print-completion``: a script that lets a shell complete what is typed."""

import argparse
from pathlib import Path
from typing import Any

SHELLS = ("bash", "zsh")

EXAMPLE = """\
examples:
  perp-imbalance backtest --help
  eval "$(perp-imbalance --print-completion bash)"    # a line for ~/.bashrc
  perp-imbalance --print-completion zsh > ~/.zfunc/_perp-imbalance
      # with fpath+=~/.zfunc before compinit in ~/.zshrc
"""


def add_completion(parser: argparse.ArgumentParser) -> None:
    """Add the option that prints the script of a shell, and leaves."""
    parser.add_argument(
        "--print-completion",
        choices=SHELLS,
        action=_PrintCompletion,
        help="print a script that makes the shell complete commands, options and files",
    )


class _PrintCompletion(argparse.Action):
    """Print the script and leave; the shell then completes without starting Python."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        # Imported late: no other option needs it.
        import shtab

        _complete_files(parser, shtab.FILE)
        print(shtab.complete(parser, values))
        parser.exit()


def _complete_files(parser: argparse.ArgumentParser, files: Any) -> None:
    """Let the values of all options that are paths be completed by what is on disk."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for subparser in action.choices.values():
                _complete_files(subparser, files)
        elif action.type is Path:
            action.complete = files  # type: ignore[attr-defined]
