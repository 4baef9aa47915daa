"""How the commands' options are declared: no abbreviations, and a help whose examples keep their lines."""

from __future__ import annotations

import argparse


def parser(command: str, description: str, epilog: str, usage: str | None = None) -> argparse.ArgumentParser:
    """The parser of a command.

    Args:
        command: its name, as in `perfagent NAME`.
        description: what it does, in a sentence or two.
        epilog: examples, and what the exit status says.
        usage: in place of the one that is made of the options.
    """
    return argparse.ArgumentParser(
        prog=f"perfagent {command}",
        usage=usage,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, description: str, epilog: str
) -> argparse.ArgumentParser:
    """The parser of one of a command's actions.

    Args:
        actions: of the command.
        name: as in `perfagent COMMAND NAME`.
        description: what it does, without a capital and a full stop.
        epilog: as for the command.
    """
    found: argparse.ArgumentParser = actions.add_parser(
        name,
        help=description,
        description=f"{description[0].upper()}{description[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    return found


def whole(text: str, low: int, high: int, complaint: str) -> int:
    """A whole number within bounds, both included, for argparse.

    Args:
        text: as it was given.
        low, high: the bounds.
        complaint: what the text is not, such as "is not from 1 to 100".

    Raises:
        ArgumentTypeError: it is none, or out of bounds.
    """
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise argparse.ArgumentTypeError(f"{text!r} {complaint}")
    return int(text)


def process(text: str, more: str = "") -> int:
    """A process' identity, for argparse; `more` is added to the complaint."""
    return whole(text, 1, 2**31 - 1, f"is no process id, such as 4711{more}")
