"""`perfagent load`: publishes events or sends requests at a steady rate, and tells what came of it."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from perfagent.cli import arguments, ending, output

if TYPE_CHECKING:
    from collections.abc import Callable

EXITS = """\
exit status: 0 passed, 1 not passed, 2 wrong words, 3 nobody answers, 130 interrupted"""
INSTALL = 'pip install "perfagent[load]"'
EXAMPLES = {
    "kafka": """
  perfagent load kafka --rate 100 --duration 30 --topic access --prometheus http://localhost:9090
  perfagent load kafka --rate 500 --duration 60 --min-rate 25000 --max-latency 0.2 --output json""",
    "http": """
  perfagent load http http://localhost:8000/products --rate 200 --duration 30
  perfagent load http http://localhost:8000/ --rate 50 --duration 10 --expect 'p99<250ms' --expect 'errors<1%'""",
}


class LoadError(Exception):
    """Why a test cannot be run, for people; `status` is the command's exit status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def main(words: list[str]) -> int:
    """Runs one kind of test; returns the exit status."""
    parser = arguments.parser(
        "load",
        description="Puts load on a topic or a server at a rate that does not wait for answers, and judges the result.",
        epilog=EXITS,
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="{kafka,http}")
    _kafka(kinds)
    _http(kinds)
    asked = parser.parse_args(words)
    return _run(asked)


def _run(asked: argparse.Namespace) -> int:
    try:
        module = __import__(f"perfagent.cli.load_{asked.kind}", fromlist=["run"])
        run: Callable[[argparse.Namespace], int] = module.run
        return run(asked)
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] not in ("aiohttp", "kafka"):
            raise
        reason = f"`perfagent load {asked.kind}` needs a package that is not installed here ({error}): {INSTALL}"
        return ending.told(reason, 2)
    except LoadError as error:
        return ending.told(str(error), error.status)


def _kafka(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    found = _parser(kinds, "kafka", "publish access events, and ask Prometheus how many were processed, and how fast")
    found.add_argument("--bootstrap", default="localhost:9092", help="brokers, with commas (default: localhost:9092)")
    found.add_argument("--topic", default="access-events", help="made where it is missing (default: access-events)")
    found.add_argument("--partitions", type=_whole, default=1, help="of a topic that is made (default: 1)")
    found.add_argument("--acks", choices=("0", "1", "all"), default="all", help="who must have an event (default: all)")
    found.add_argument(
        "--key", choices=("none", "client", "path"), default="none", help="what decides the partition (default: none)"
    )
    asking = found.add_argument_group("what became of it")
    asking.add_argument(
        "--prometheus", default="", metavar="URL", help="who is asked (PERFAGENT_PROMETHEUS_URL): http://localhost:9090"
    )
    asking.add_argument("--group", help="this consumer group alone; every one must have processed all when left out")
    asking.add_argument(
        "--wait",
        type=_positive,
        default=60.0,
        metavar="SECONDS",
        help="longest wait for the consumers, and for their next export of metrics (default: 60)",
    )
    passing = found.add_argument_group("what passes")
    passing.add_argument(
        "--min-rate", type=_positive, default=2500.0, metavar="N", help="events processed a minute (default: 2500)"
    )
    passing.add_argument(
        "--max-latency", type=_positive, default=1.0, metavar="SECONDS", help="mean latency below (default: 1)"
    )


def _http(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    found = _parser(kinds, "http", "send requests to a URL")
    found.add_argument("url")
    found.add_argument("--method", default="GET", help="of HTTP (default: GET; POST where there is a body)")
    found.add_argument("--header", action="append", default=[], metavar="'NAME: VALUE'", help="may be repeated")
    found.add_argument("--body", help="sent with every request; @FILE reads it")
    found.add_argument(
        "--connections", type=_whole, default=100, help="most requests at a time; more wait for one (default: 100)"
    )
    found.add_argument("--timeout", type=_positive, default=10.0, help="longest wait in seconds (default: 10)")
    found.add_argument("--insecure", action="store_true", help="do not check the server's certificate")
    found.add_argument(
        "--expect",
        action="append",
        default=[],
        metavar="LIMIT",
        help="p50<…, p99<250ms, mean<…, max<…, errors<1%%, rate>=95; may be repeated; where one does not hold, exit 1",
    )


def _parser(
    kinds: argparse._SubParsersAction[argparse.ArgumentParser], name: str, description: str
) -> argparse.ArgumentParser:
    found: argparse.ArgumentParser = kinds.add_parser(
        name,
        help=description,
        description=f"{description[0].upper()}{description[1:]}.",
        epilog=f"examples:{EXAMPLES[name]}\n\n{EXITS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    found.add_argument("--rate", type=_positive, required=True, help="how many a second, whatever becomes of them")
    found.add_argument("--duration", type=_positive, required=True, metavar="SECONDS", help="for how long")
    found.add_argument(
        "--arrival",
        choices=("constant", "poisson"),
        default="constant",
        help="equally spaced, or as independent visitors come (default: constant)",
    )
    found.add_argument("--seed", type=int, default=0, help="of what is random: the same one gives the same test")
    found.add_argument("--yes", action="store_true", help="the target is neither this machine nor private, and may be")
    found.add_argument("--output", choices=("table", "json"), default="table", help="json is for machines")
    return found


def may_load(host: str, asked: argparse.Namespace) -> None:
    """Makes sure that load on a host is wanted, where that is neither this machine nor in a private network.

    Raises:
        LoadError: the host is unknown, or `--yes` is missing.
    """
    from perfagent.load.targets import strangers

    try:
        found = strangers(host)
    except (OSError, UnicodeError) as error:
        raise LoadError(f"{host}: {getattr(error, 'strerror', None) or error}", 3) from None
    if found:
        told = f"{host} ({', '.join(found)}) is neither this machine nor in a private network"
        if not asked.yes:
            raise LoadError(f"{told}; if it is yours to put {asked.rate:g}/s on, say so with --yes", 2)
        print(f"perfagent: {told}: load goes there because of --yes", file=sys.stderr)


class Progress:
    """One line on standard error that is written over, where somebody looks on."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()

    def tell(self, text: str) -> None:
        """Shows the text in the place of the last one."""
        if self._shown:
            line = output.cut(text, output.terminal_width() - 1)
            print(f"\r{line}\033[K", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Takes the line away."""
        if self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < 1e7:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return value


def _whole(text: str) -> int:
    return arguments.whole(text, 1, 10_000, "is not from 1 to 10000")
