"""What the commands that ask a hub share: their options, their errors and their exit status."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from perfagent import __version__
from perfagent.cli import arguments, ending
from perfagent.cli.client import Client, HubError

if TYPE_CHECKING:
    from collections.abc import Callable

EXITS = "exit status: 0 fine, 1 a finding, 2 wrong words or a refused request, 3 no hub answers"


def parser(
    name: str, description: str, examples: str, *, formats: tuple[str, ...] = ("table", "json")
) -> argparse.ArgumentParser:
    """A parser with the options that name the hub.

    Args:
        name: of the command.
        description: what it shows.
        examples: one a line, shown below the options.
        formats: what `--output` accepts, the default first; none for no such option.
    """
    lines = "\n".join(f"  {line.strip()}" for line in examples.strip().splitlines())
    found = arguments.parser(
        name,
        description=description,
        epilog=f"examples:\n{lines}\n\n{EXITS}",
    )
    hub = found.add_argument_group("which hub")
    hub.add_argument("--url", default="", help="its address (PERFAGENT_HUB_URL); your own when left out")
    hub.add_argument(
        "--token",
        default="",
        help="what it wants to see; PERFAGENT_HUB_TOKEN does not show it in the list of processes",
    )
    hub.add_argument(
        "--timeout", type=seconds, default=10, help="longest wait for an answer, in seconds (default: %(default)g)"
    )
    if formats:
        found.add_argument("--output", choices=formats, default=formats[0], help="json is for machines")
    return found


def serve(
    found: argparse.ArgumentParser,
    words: list[str],
    body: Callable[[Client, argparse.Namespace], int],
    role: str = "viewer",
) -> int:
    """Runs a command's body with its hub, and turns what may go wrong into one line and an exit status.

    Args:
        found: the command's parser.
        words: after the command.
        body: what it does; returns the exit status.
        role: that it needs at the user's own hub; another hub's token is the user's to give.
    """
    asked = found.parse_args(words)

    try:
        client = Client.find(asked.url, asked.token, asked.timeout, role)
        status = body(client, asked)
        for note in client.notes:
            print(f"perfagent: {note}", file=sys.stderr)
        return status
    except HubError as error:
        return ending.told(str(error), error.status)
    except (KeyError, TypeError) as error:  # a hub of another version; its fields are read in every body
        reason = f"{client.address} answers in another form than perfagent {__version__} knows"
        return ending.told(f"{reason} ({type(error).__name__}: {error}); bring both to one version", 3)


def seconds(text: str) -> float:
    """A positive number, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number of seconds")
    return value


def hours(text: str) -> int:
    """A whole number of hours, up to a year, for argparse."""
    return arguments.whole(text, 1, 8760, "is not from 1 to 8760 hours")


def limit(text: str) -> int:
    """How many rows, for argparse."""
    return arguments.whole(text, 1, 1000, "is not from 1 to 1000")


def span(text: str) -> str:
    """A time that has passed, such as 90s, 15m, 1h or 2d, as the hub's interface wants it, for argparse."""
    number = text[:-1]
    if text[-1:] not in tuple("smhd") or not number.isascii() or not number.isdigit() or not 0 < int(number) < 10**7:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 90s, 15m, 1h or 2d")
    return f"-{int(number)}{text[-1]}"
