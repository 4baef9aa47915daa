"""The file of circuit breakers: what it says holds, and what is wrong with it is told by entry, rule and example."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perfagent.resilience.breakers import configuration
from perfagent.resilience.breakers.configuration import Rules, read

if TYPE_CHECKING:
    from tests.conftest import RunProgram

GOOD = """\
storage: redis://:secret@localhost:6379/0
defaults:
  failure_threshold: 4
  exclude: [ValueError]
breakers:
  payments:
    recovery_time: 0.5
    exclude: [LookupError, json.JSONDecodeError, urllib.error.HTTPError]
    fallback: shop.payments:later
  mail:
"""


def test_a_breaker_has_its_own_settings_then_the_defaults(tmp_path: Path) -> None:
    import json
    import urllib.error

    (tmp_path / "b.yaml").write_text(GOOD)
    found = read(tmp_path / "b.yaml")
    assert found.storage == "redis://:secret@localhost:6379/0"
    assert found.rules("payments") == Rules(
        4, 0.5, (LookupError, json.JSONDecodeError, urllib.error.HTTPError), "shop.payments:later"
    )
    assert found.rules("mail") == found.rules("another") == Rules(4, 30.0, (ValueError,), "")


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("# nothing yet\n")
    assert read(tmp_path / "b.yaml").rules("x") == Rules()


WRONG = {
    "breakers: {payments: {failure_threshold: 0}}": (
        "breakers.payments.failure_threshold=0 is not accepted: a whole number from 1 to 1000000: so many failures in "
        "a row open it; e.g. failure_threshold: 5"
    ),
    "breakers: {payments: {failure_threshold: -3}}": "breakers.payments.failure_threshold=-3 is not accepted",
    "breakers: {payments: {failure_threshold: 2.5}}": "breakers.payments.failure_threshold=2.5 is not accepted",
    "breakers: {payments: {failure_threshold: true}}": "breakers.payments.failure_threshold=True is not accepted",
    "breakers: {payments: {recovery_time: -1}}": (
        "breakers.payments.recovery_time=-1 is not accepted: seconds, more than 0 and at most 86400"
    ),
    "breakers: {payments: {recovery_time: 10s}}": "breakers.payments.recovery_time='10s' is not accepted",
    "breakers: {payments: {recovery_time: .nan}}": "breakers.payments.recovery_time=nan is not accepted",
    "defaults: {recovery_time: 0}": "defaults.recovery_time=0 is not accepted",
    "breakers: {payments: {threshold: 3}}": (
        "breakers.payments.threshold is unknown: there are failure_threshold, recovery_time, exclude, fallback; e.g. "
    ),
    "breaker: {payments: {}}": "breaker is unknown: there are storage, defaults, breakers; e.g. ",
    "breakers: {payments: {exclude: [NoSuchError]}}": (
        "breakers.payments.exclude.0='NoSuchError' is not to be found: a list of names of exceptions, with their "
        "modules unless they are built in: these are no failures; e.g. exclude: [ValueError, "
        "requests.exceptions.HTTPError]"
    ),
    "breakers: {payments: {exclude: [ValueError, no_such_module.Error]}}": "exclude.1='no_such_module.Error' is not to",
    "breakers: {payments: {exclude: [json.dumps]}}": "exclude.0='json.dumps' is no exception",
    "breakers: {payments: {exclude: [KeyboardInterrupt]}}": "exclude.0='KeyboardInterrupt' is no exception",
    "breakers: {payments: {exclude: ValueError}}": "breakers.payments.exclude='ValueError' is not accepted: a list",
    "breakers: {payments: {exclude: [5]}}": "breakers.payments.exclude.0=5 is not accepted: a list of names",
    "breakers: {payments: {fallback: later}}": (
        "breakers.payments.fallback='later' is not accepted: `module:function`, which is called in place of a call "
        "that is not let through; e.g. fallback: shop.payments:pay_later"
    ),
    "breakers: {payments: 3}": "breakers.payments=3 is not accepted: breakers by their names",
    "breakers: [payments]": "breakers=a list is not accepted: breakers by their names",
    "breakers: {'': {}}": "breakers='' is not accepted: breakers by their names, of 1 to 100 characters",
    "storage: 'http://u:secret@there'": "storage='http://there' is not accepted: an address that begins with redis://",
    "- payments": "the file=a list is not accepted",
    "breakers:\n  payments: {}\n  payments: {}": "'payments' stands there twice, again in line 3: keep one of them",
    "breakers: {payments: {": "is no YAML in line 1: ",
    "breakers: !!python/object/apply:os.system ['true']": "is no YAML in line 1: could not determine a constructor",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_mistake_is_told_by_entry_rule_and_example(tmp_path: Path, text: str) -> None:
    path = tmp_path / "circuit-breakers.yaml"
    path.write_text(text)
    with pytest.raises(ValueError) as found:  # noqa: PT011 - the text is what this is about
        read(path)
    said = str(found.value)
    assert said.startswith(str(path))
    assert WRONG[text] in said
    assert "secret" not in said
    assert "\n" not in said


def test_every_rule_of_the_schema_has_words_and_an_example() -> None:
    schema = configuration._schema()
    names = {*schema["properties"], *schema["$defs"]["breaker"]["properties"]}
    assert names == set(configuration.RULES) == set(configuration.EXAMPLES)


def test_the_default_file_is_read_from_the_working_directory(run_program: RunProgram, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "circuit-breakers.yaml").write_text("breakers: {payments: {failure_threshold: 7}}")
    code = "from perfagent import get_breaker; print(get_breaker('payments').rules.failure_threshold)"
    assert run_program(sys.executable, "-c", code, cwd=tmp_path).check() == "7\n"


def test_a_file_that_is_named_and_not_there_is_an_error(run_program: RunProgram, tmp_path: Path) -> None:
    code = "from perfagent import get_breaker; get_breaker('payments')"
    program = run_program(sys.executable, "-c", code, cwd=tmp_path, env={"CIRCUIT_BREAKERS_FILE": "there.yaml"})
    assert program.wait() == 1
    assert (
        "CIRCUIT_BREAKERS_FILE='there.yaml' cannot be read (No such file or directory); e.g. config/" in program.stderr
    )


def test_an_address_from_the_environment_that_is_none_is_named_and_not_shown(run_program: RunProgram) -> None:
    code = "from perfagent import get_breaker; get_breaker('payments')"
    env = {"CIRCUIT_BREAKERS_STORAGE": "http://:opensesame@cache"}
    program = run_program(sys.executable, "-c", code, env=env)
    assert program.wait() == 1
    assert "ValueError: CIRCUIT_BREAKERS_STORAGE is not accepted" in program.stderr
    assert "e.g. redis://localhost:6379/0" in program.stderr
    assert "opensesame" not in program.stderr


@pytest.mark.parametrize("missing", ["purgatory", "yaml", "jsonschema"])
def test_without_the_extra_one_line_tells_how_to_get_it(run_program: RunProgram, tmp_path: Path, missing: str) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "circuit-breakers.yaml").write_text("breakers: {payments: {failure_threshold: 7}}")
    code = f"import sys; sys.modules[{missing!r}] = None; from perfagent import get_breaker; get_breaker('x')"
    program = run_program(sys.executable, "-c", code, cwd=tmp_path)
    assert program.wait() == 1
    assert 'need purgatory, PyYAML and jsonschema: pip install "perfagent[resilience]"' in program.stderr
