"""What the documentation shows works, what it links to is there, and what is generated is current."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perfagent.cli import config
from tests.agent import agent_env

if TYPE_CHECKING:
    from tests.conftest import RunProgram
    from tests.otlp import Receiver

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text()
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```", text, re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


def test_the_tutorials_program_tells_what_the_tutorial_says(
    receiver: Receiver, run_program: RunProgram, tmp_path: Path
) -> None:
    (program,) = blocks("docs/tutorial.md", "python")
    (tmp_path / "app.py").write_text(program)
    shown = run_program("perfagent", "run", "python", "app.py", env=agent_env(receiver), cwd=tmp_path).check()
    assert shown == "hello\n"
    spans = receiver.wait_for_spans(3)
    assert [span.name for span in spans] == ["CREATE TABLE greetings", "INSERT greetings", "SELECT greetings"]
    assert spans[2].attributes["db.query.text"] == "select word from greetings where language = ?"


def test_the_instrument_that_contributing_shows_works(
    receiver: Receiver, run_program: RunProgram, tmp_path: Path
) -> None:
    (instrument,) = blocks("CONTRIBUTING.md", "python")
    (tmp_path / "parrot.py").write_text("class Client:\n    def ask(self, question):\n        return question\n")
    (tmp_path / "instrument.py").write_text(instrument)
    code = "import parrot, instrument; instrument.instrument.apply(parrot); print(parrot.Client().ask('who'))"
    assert (
        run_program("perfagent", "run", "python", "-c", code, env=agent_env(receiver), cwd=tmp_path).check() == "who\n"
    )
    (span,) = receiver.wait_for_spans(1)
    assert (span.name, span.kind, span.scope.name) == ("ask", "CLIENT", "perfagent.parrot")


def test_the_page_of_the_settings_is_current() -> None:
    assert (ROOT / "docs/reference/settings.md").read_text() == config.reference()


def test_what_the_coverage_names_is_there() -> None:
    rows = re.findall(r"^\|.*\|$", (ROOT / "docs/coverage.md").read_text(), re.MULTILINE)
    names = [[re.findall(r"`([\w*./]+(?:\.\w+|/))`", cell) for cell in row.strip("|").split("|")] for row in rows]
    assert len(names) > 40
    for _capability, modules, _documentation, tests in (row for row in names if len(row) == 4):
        folder = ROOT / "src/perfagent"
        for name in [*modules, *tests]:
            own = name.startswith(("tests/", "benchmarks/", "examples/", "tools/", "collector/", "deploy/"))
            path = ROOT / name if own else (ROOT / "src/perfagent" if "/" in name else folder) / name
            assert sorted(path.parent.glob(path.name)), f"{name} is not where docs/coverage.md has it"
            folder = path if name.endswith("/") else path.parent


def test_every_page_that_shows_commands_has_them_run_by_a_test() -> None:
    shown = {str(page.relative_to(ROOT)) for page in PAGES if blocks(str(page.relative_to(ROOT)), "sh")}
    tests = "".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))
    assert [page for page in sorted(shown) if f'"{page}"' not in tests] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target
