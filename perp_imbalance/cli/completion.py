"""``perp-imbalance --print-completion``: print a shell completion script."""

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
    """Add the option that prints the completion script of a shell and exits."""
    parser.add_argument(
        "--print-completion",
        choices=SHELLS,
        action=_PrintCompletion,
        help="print a script that makes the shell complete commands, options and files",
    )


class _PrintCompletion(argparse.Action):
    """Print the script and exit; the shell then completes words without starting Python."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        # Imported late: no other option needs shtab.
        import shtab

        _complete_files(parser, shtab.FILE)
        print(shtab.complete(parser, values))
        parser.exit()


def _complete_files(parser: argparse.ArgumentParser, files: Any) -> None:
    """Make the shell complete file names for every option that takes a path."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for subparser in action.choices.values():
                _complete_files(subparser, files)
        elif action.type is Path:
            action.complete = files  # type: ignore[attr-defined]
