"""`perfagent run`: the program starts as it would without us, and is measured."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import venv
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from tests.agent import agent_env

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunProgram
    from tests.otlp import Receiver

QUERY = "import sqlite3; sqlite3.connect(':memory:').execute('select 1')"


def test_a_script_is_measured_and_its_output_and_exit_status_are_its_own(
    receiver: Receiver, run_program: RunProgram, tmp_path: Path
) -> None:
    script = tmp_path / "app.py"
    script.write_text(f"import sys\n{QUERY}\nprint('out', sys.argv[1:])\nsys.exit(3)\n")
    program = run_program("perfagent", "run", "python", str(script), "a", "-b", env=agent_env(receiver))
    assert program.wait() == 3
    assert program.stdout == "out ['a', '-b']\n"
    assert program.stderr == ""
    (span,) = receiver.wait_for_spans(1)
    assert (span.name, span.kind) == ("SELECT", "CLIENT")
    assert span.resource["service.name"] == "tested"


def test_a_module_is_measured(receiver: Receiver, run_program: RunProgram, tmp_path: Path) -> None:
    (tmp_path / "some_module.py").write_text(QUERY)
    run_program("perfagent", "run", "python", "-m", "some_module", env=agent_env(receiver), cwd=tmp_path).check()
    receiver.wait_for_spans(1)


def test_a_script_with_a_shebang_is_measured(receiver: Receiver, run_program: RunProgram, tmp_path: Path) -> None:
    script = tmp_path / "tool"
    script.write_text(f"#!{sys.executable}\n{QUERY}\n")
    script.chmod(0o755)
    run_program("perfagent", "run", str(script), env=agent_env(receiver)).check()
    receiver.wait_for_spans(1)


@pytest.mark.slow
def test_a_program_of_another_environment_is_measured_and_sees_only_its_own_packages(
    receiver: Receiver, run_program: RunProgram, tmp_path: Path
) -> None:
    venv.create(tmp_path / "other", with_pip=False)
    python = tmp_path / "other" / "bin" / "python"
    code = (
        f"{QUERY}\nimport sys\nfrom importlib.util import find_spec\n"
        "print(find_spec('fastapi'), find_spec('psutil'), sys.path)"
    )
    shown = run_program("perfagent", "run", str(python), "-c", code, env=agent_env(receiver)).check()
    bare = run_program(str(python), "-c", code).check()
    assert shown.startswith("None None")
    assert shown == bare
    receiver.wait_for_spans(1)


def test_the_users_own_sitecustomize_and_usercustomize_run_once(
    receiver: Receiver, run_program: RunProgram, tmp_path: Path
) -> None:
    for name in ("sitecustomize", "usercustomize"):
        (tmp_path / f"{name}.py").write_text(f"print({name!r}, __name__, __file__)")
    env = agent_env(receiver, PYTHONPATH=str(tmp_path), HOME=str(tmp_path))
    code = "import sitecustomize, usercustomize; print(sitecustomize.__file__)"
    python = sys._base_executable  # type: ignore[attr-defined] # an environment of its own has no usercustomize
    bare = run_program(python, "-c", code, env=env).check()
    shown = run_program("perfagent", "run", python, "-c", code, env=env).check()
    # The launcher is a Python program too, so it runs them for itself before it becomes the program.
    assert shown.endswith(bare)
    assert shown.count("usercustomize usercustomize") <= 2
    assert bare.count("sitecustomize sitecustomize") == 1


def test_an_error_in_the_users_sitecustomize_is_reported_as_without_us(
    receiver: Receiver, run_program: RunProgram, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import no_such_module_of_theirs")
    env = agent_env(receiver, PYTHONPATH=str(tmp_path))
    program = run_program("perfagent", "run", "python", "-c", "print('goes on')", env=env)
    assert program.check() == "goes on\n"
    assert "no_such_module_of_theirs" in program.stderr


def test_the_process_id_stays_the_same(receiver: Receiver, run_program: RunProgram) -> None:
    program = run_program("perfagent", "run", "python", "-c", "import os; print(os.getpid())", env=agent_env(receiver))
    assert int(program.check()) == program.pid


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_ends_the_program_as_it_would_without_us(
    number: signal.Signals, receiver: Receiver, run_program: RunProgram
) -> None:
    code = f"{QUERY}\nprint('ready', flush=True)\nimport time\ntime.sleep(60)"
    bare = run_program("python", "-c", code)
    program = run_program("perfagent", "run", "python", "-c", code, env=agent_env(receiver))
    for each in (bare, program):
        each.wait_for_output("ready")
        each.process.send_signal(number)
    assert program.wait() == bare.wait()


def test_sigterm_sends_the_last_spans_first(receiver: Receiver, run_program: RunProgram) -> None:
    code = f"{QUERY}\nprint('ready', flush=True)\nimport time\ntime.sleep(60)"
    env = agent_env(receiver, OTEL_BSP_SCHEDULE_DELAY="30000")
    program = run_program("perfagent", "run", "python", "-c", code, env=env)
    program.wait_for_output("ready")
    assert program.terminate() == -signal.SIGTERM
    receiver.wait_for_spans(1)


def test_a_command_that_does_not_exist_exits_with_127_and_the_reason(run_program: RunProgram) -> None:
    program = run_program("perfagent", "run", "no-such-command", "-x")
    assert program.wait() == 127
    assert program.stderr == "perfagent: no-such-command: no such command on PATH\n"


def test_a_file_that_cannot_be_executed_exits_with_126_and_a_hint(run_program: RunProgram, tmp_path: Path) -> None:
    script = tmp_path / "app.py"
    script.write_text("print(1)")
    program = run_program("perfagent", "run", str(script))
    assert program.wait() == 126
    assert f"perfagent run python {script}" in program.stderr


def test_no_command_exits_with_2_and_an_example(run_program: RunProgram) -> None:
    program = run_program("perfagent", "run")
    assert program.wait() == 2
    assert "perfagent run python app.py" in program.stderr


def test_an_unknown_option_is_named_and_the_program_starts(receiver: Receiver, run_program: RunProgram) -> None:
    program = run_program("perfagent", "run", "--colour", "python", "-c", "print(1)", env=agent_env(receiver))
    assert program.check() == "1\n"
    assert "--colour" in program.stderr
    assert "--service" in program.stderr
    assert len(program.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "many", "whole number"),
        ("OTEL_TRACES_SAMPLER_ARG", "2", "from 0 to 1"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "brotli", "gzip"),
        ("PERFAGENT_GC_THRESHOLD", "a,b", "1000,10,10"),
        ("OTEL_PYTHON_EXCLUDED_URLS", "(", "regular expression"),
    ],
)
def test_a_malformed_variable_is_named_with_what_is_accepted_and_the_program_starts(
    name: str, value: str, accepted: str, receiver: Receiver, run_program: RunProgram
) -> None:
    env = agent_env(receiver, **{"OTEL_TRACES_SAMPLER": "traceidratio", name: value})
    program = run_program("perfagent", "run", "python", "-c", f"{QUERY}; print(1)", env=env)
    assert program.check() == "1\n"
    (line,) = program.stderr.splitlines()
    assert name in line
    assert value in line
    assert accepted in line


def test_a_malformed_endpoint_is_named_and_the_program_starts(run_program: RunProgram) -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost"}
    program = run_program("perfagent", "run", "python", "-c", "print(1)", env=env)
    assert program.check() == "1\n"
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in program.stderr
    assert "http://localhost:4318" in program.stderr


def test_options_of_run_reach_the_program(receiver: Receiver, run_program: RunProgram) -> None:
    run_program(
        "perfagent", "run", "--service", "shop", f"--endpoint={receiver.url}", "--", "python", "-c", QUERY
    ).check()
    (span,) = receiver.wait_for_spans(1)
    assert span.resource["service.name"] == "shop"


def test_pip_is_not_measured_and_neither_is_what_it_starts(run_program: RunProgram, receiver: Receiver) -> None:
    program = run_program("perfagent", "run", "python", "-m", "pip", "--version", env=agent_env(receiver))
    assert program.check().startswith("pip ")
    code = "import os, sys; print('perfagent' in sys.modules, os.environ.get('PYTHONPATH'))"
    env = agent_env(receiver, PERFAGENT_EXCLUDED_COMMANDS="tool")
    directory = program._stdout.parent
    (directory / "tool.py").write_text(code)
    (directory / "other.py").write_text(code)
    excluded = run_program("perfagent", "run", "python", str(directory / "tool.py"), env=env)
    assert excluded.check() == "True None\n"
    included = run_program("perfagent", "run", "python", str(directory / "other.py"), env=env)
    assert included.check().startswith("True /")


def test_a_python_child_of_the_program_is_measured(receiver: Receiver, run_program: RunProgram) -> None:
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {QUERY!r}], check=True)"
    run_program("perfagent", "run", "python", "-c", code, env=agent_env(receiver)).check()
    receiver.wait_for_spans(1)


def test_nothing_happens_when_the_sdk_is_disabled(receiver: Receiver, run_program: RunProgram) -> None:
    code = f"{QUERY}; import sys; print([m for m in sys.modules if m.startswith('perfagent.instruments')])"
    env = agent_env(receiver, OTEL_SDK_DISABLED="true")
    assert run_program("perfagent", "run", "python", "-c", code, env=env).check() == "[]\n"
    assert receiver.spans == []


def test_a_program_that_does_nothing_imports_next_to_nothing(receiver: Receiver, run_program: RunProgram) -> None:
    code = "import sys; print(*sorted(m for m in sys.modules if not m.startswith(('_', 'perfagent', 'encodings'))))"
    env = agent_env(receiver)
    bare = set(run_program("python", "-c", code).check().split())
    shown = set(run_program("perfagent", "run", "python", "-c", code, env=env).check().split())
    heavy = {"logging", "threading", "http", "json", "typing", "re", "inspect", "asyncio", "socket", "ssl", "psutil"}
    assert not (shown - bare) & heavy
    light = (
        "atexit bisect collections contextvars faulthandler gc itertools keyword operator reprlib struct types "
        "warnings weakref"
    )
    assert shown - bare <= {*light.split(), "sitecustomize"}


@pytest.mark.skipif(os.name != "posix", reason="reads /proc")
def test_standard_streams_stay_the_terminals(run_program: RunProgram) -> None:
    import pty

    leader, follower = pty.openpty()
    code = "import sys; print(sys.stdin.isatty(), sys.stdout.isatty())"
    command = [os.path.join(os.path.dirname(sys.executable), "perfagent"), "run", sys.executable, "-c", code]
    subprocess.run(command, stdin=follower, stdout=follower, stderr=follower, check=True, timeout=30)
    assert b"True True" in os.read(leader, 1000)
    os.close(leader)
    os.close(follower)


@pytest.mark.parametrize(
    ("env", "shown"),
    [
        ({"PERFAGENT_GC_THRESHOLD": "true"}, "(1000, 10, 10) True"),
        ({"PERFAGENT_GC_THRESHOLD": "5000,20,30"}, "(5000, 20, 30) True"),
        ({"SHORT_LIVED_PROCESS": "1"}, "(700, 10, 10) False"),
        ({}, "(700, 10, 10) True"),
    ],
)
def test_the_garbage_collector_is_set_when_asked_for_alone(
    env: dict[str, str], shown: str, receiver: Receiver, run_program: RunProgram
) -> None:
    code = "import gc; print(gc.get_threshold(), gc.isenabled())"
    bare = run_program("python", "-c", code).check()
    told = run_program("perfagent", "run", "python", "-c", code, env=agent_env(receiver, **env)).check()
    default = bare.split(")")[0] + ")"  # another version of Python has other thresholds
    assert told == f"{shown}\n".replace("(700, 10, 10)", default)


def test_a_module_that_python_has_built_in_can_be_waited_for_and_stays_as_it_is(
    receiver: Receiver, run_program: RunProgram
) -> None:
    code = """
        import sys
        from importlib.machinery import BuiltinImporter
        from perfagent.instruments import hook
        name, other = [name for name in sys.builtin_module_names if name not in sys.modules][:2]
        hook.when_imported(name, lambda module: print("arrived", module.__name__ == name))
        module = __import__(name)
        print(module.__loader__ is module.__spec__.loader is BuiltinImporter, bool(__import__(other)))
    """
    program = run_program("perfagent", "run", "python", "-c", dedent(code), env=agent_env(receiver))
    assert program.check() == "arrived True\nTrue True\n"
    assert program.stderr == ""
