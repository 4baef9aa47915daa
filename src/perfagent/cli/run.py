"""`perfagent run`: becomes the program, with the agent on its path."""

from __future__ import annotations

import os
import sys

USAGE = """usage: perfagent run [options] COMMAND [ARGUMENT …]

Starts COMMAND with its web framework, database drivers, caches and HTTP clients measured. perfagent becomes the
program: signals, exit status, terminal and process id are the program's own. Its Python children are measured too.
Where no OTLP endpoint is set, its telemetry goes to a hub on this machine, found or started, and a line tells the
address of the page that shows it.

options:
  --service NAME     the name of the service (OTEL_SERVICE_NAME)
  --endpoint URL     where telemetry goes, such as http://localhost:4318 (OTEL_EXPORTER_OTLP_ENDPOINT)
  --sampler NAME     which traces are kept (OTEL_TRACES_SAMPLER)
  --pipeline NAME    lean, sdk or auto (PERFAGENT_PIPELINE)
  --hub auto|off     whether a hub is used (PERFAGENT_HUB)
  --quiet            say nothing but errors (PERFAGENT_QUIET)
  -h, --help         show this

Every setting is an environment variable too: `perfagent config` lists them."""

OPTIONS = {
    "--service": "OTEL_SERVICE_NAME",
    "--endpoint": "OTEL_EXPORTER_OTLP_ENDPOINT",
    "--sampler": "OTEL_TRACES_SAMPLER",
    "--pipeline": "PERFAGENT_PIPELINE",
    "--hub": "PERFAGENT_HUB",
}


def main(words: list[str]) -> int:
    """Replaces this process by the command.

    Args:
        words: options, then the command and its arguments.

    Returns:
        Only where there is nothing to run: 0 after help, 2 for wrong words, 127 for a command that is not found, 126
        for one that cannot be run, as a shell has it.
    """
    while words and words[0].startswith("-"):
        option, equals, value = words.pop(0).partition("=")
        if option in ("-h", "--help"):
            print(USAGE)
            return 0
        if option == "--":
            break
        if option == "--quiet":
            os.environ["PERFAGENT_QUIET"] = "true"
        elif option not in OPTIONS:
            # The program starts anyway: an option that a newer perfagent knows must not keep it from running.
            known = ", ".join((*OPTIONS, "--quiet"))
            print(
                f"perfagent: {option} is no option of `perfagent run` ({known}); going on without it", file=sys.stderr
            )
        elif equals or words:
            os.environ[OPTIONS[option]] = value if equals else words.pop(0)
    if not words:
        print("perfagent: run needs a command, such as `perfagent run python app.py`", file=sys.stderr)
        return 2
    from perfagent.launch import environment

    _use_hub()
    environment.enter(os.environ)
    sys.stdout.flush()
    sys.stderr.flush()
    return become(words)


def become(words: list[str]) -> int:
    """Replaces this process by a command; returns 126 or 127 where there is none to run."""
    try:
        os.execvp(words[0], words)  # noqa: S606 - no shell: the words are the program's own
    except FileNotFoundError:
        if os.path.exists(words[0]) or (os.sep in words[0] and os.path.lexists(words[0])):
            reason = "the interpreter in its first line (#!) does not exist"
        else:
            reason = "no such command on PATH" if os.sep not in words[0] else "no such file"
        print(f"perfagent: {words[0]}: {reason}", file=sys.stderr)
        return 127
    except OSError as error:
        hint = f"; try `perfagent run python {' '.join(words)}`" if words[0].endswith(".py") else ""
        print(f"perfagent: {words[0]} cannot be run: {error.strerror}{hint}", file=sys.stderr)
        return 126


def _use_hub() -> None:
    """Finds or starts a hub where the program's telemetry is for one, and says what became of that in one line."""
    from perfagent.hub import lock
    from perfagent.launch import hub
    from perfagent.settings import Settings

    settings = Settings()
    say, settings.report = settings.report, _leave_to_agent  # type: ignore[method-assign]
    wanted, quiet = not hub.why_not(settings), settings.quiet
    settings.report = say  # type: ignore[method-assign]
    if not wanted:
        return
    try:
        line = hub.use(settings, os.environ)
    except lock.Unavailable as error:
        line = f"{error}; the program is measured, and a summary follows at its exit"
    if line and not quiet:
        print(f"perfagent: {line}", file=sys.stderr)


def _leave_to_agent(problem: str) -> None:
    """The program's agent reads the same settings and says what is wrong with them."""
