"""The command line: one module a command, imported when the command is given."""

from __future__ import annotations

import sys

COMMANDS = {
    "run": "start a program with its performance measured",
    "config": "show every setting, its value and where it came from",
    "doctor": "check that a program would be measured, and tell what is not",
}


def main(arguments: list[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: the words after `perfagent`; those of the process when left out.

    Returns:
        The exit status: 0, or 2 where the words are off.
    """
    words = sys.argv[1:] if arguments is None else arguments
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if words else 2
    if words[0] in ("-V", "--version"):
        from perfagent import __version__

        print(f"perfagent {__version__}")
        return 0
    if words[0] not in COMMANDS:
        print(f"perfagent: {words[0]!r} is no command; there are: {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    module = __import__(f"perfagent.cli.{words[0]}", fromlist=["main"])
    status: int = module.main(words[1:])
    return status


def _help() -> str:
    rows = "\n".join(f"  {name:<8} {text}" for name, text in COMMANDS.items())
    return (
        "usage: perfagent COMMAND …\n\n"
        "Measures a Python program that it starts, without a change to it.\n\n"
        f"{rows}\n\n"
        "examples:\n"
        "  perfagent run python app.py\n"
        "  perfagent run uvicorn shop.app:app\n"
        "  OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 perfagent run gunicorn shop:app\n\n"
        "`perfagent COMMAND --help` tells more."
    )
