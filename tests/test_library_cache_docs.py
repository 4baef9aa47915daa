"""The page about caching tells the truth: each of its programs prints what the comments beside it say."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.agent import agent_env
from tests.test_docs import blocks

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunProgram
    from tests.otlp import Receiver

BLOCKS = blocks("docs/how-to/caching.md", "python")


def expected(block: str) -> list[str]:
    """What the comments behind `print` say; the line that has a colon tells it behind that."""
    told = re.findall(r"print\(.*\)  # (.*)$", block, re.MULTILINE)
    return [one.partition(": ")[2] if one.startswith("computed once") else one for one in told]


def matches(line: str, told: str) -> bool:
    return line.startswith(told.removesuffix("…")) if told.endswith("…") else line == told


@pytest.mark.parametrize("number", range(len(BLOCKS)))
@pytest.mark.parametrize("agent", [False, True], ids=["bare", "under the agent"])
def test_each_program_prints_what_it_says(
    number: int, agent: bool, receiver: Receiver, run_program: RunProgram, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(BLOCKS[number])
    words = ("perfagent", "run") if agent else ()
    program = run_program(*words, sys.executable, "program.py", env=agent_env(receiver), cwd=tmp_path)
    lines = program.check().splitlines()
    told = expected(BLOCKS[number])
    assert told
    assert len(lines) == len(told)
    assert all(map(matches, lines, told)), (lines, told)


def test_the_page_has_every_setting_that_it_names() -> None:
    from perfagent.settings.cache import CacheSettings
    from tests.test_docs import ROOT

    page = (ROOT / "docs/how-to/caching.md").read_text()
    known = {name for option in CacheSettings.options() for name in option.names}
    named = set(re.findall(r"CACHE_[A-Z0-9_]+", page))
    assert named <= known
    assert len(named) > 10


def test_a_program_that_lacks_a_package_is_told_which_extra_has_it(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules[sys.argv[1]] = None\n"
        "from perfagent import Cache\n"
        "try: Cache('x', type=sys.argv[2])\n"
        "except ImportError as error: print(error)\n"
    )
    for package, kind in (("cachetools", "memory"), ("redis", "redis"), ("diskcache", "disk"), ("msgspec", "redis")):
        words = [sys.executable, "-c", code, package, kind]
        shown = subprocess.run(words, capture_output=True, text=True, check=True, cwd=tmp_path).stdout
        assert re.fullmatch(rf'.* needs {package}: pip install "perfagent\[cache\]"\n', shown), shown


def test_importing_perfagent_or_starting_the_agent_imports_no_cache(tmp_path: Path) -> None:
    code = (
        "import sys, perfagent, perfagent.launch.start, perfagent.vitals\n"
        "print([name for name in sys.modules if name.startswith(('perfagent.cache', 'cachetools', 'msgspec'))])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert shown.stdout == "[]\n"
