"""`perfagent compare`: what a person reads, what a pull request shows, what a script gets, and files for a hub."""

from __future__ import annotations

import json
import re
import shlex
import time
from typing import TYPE_CHECKING, Any

import pytest

from perfagent.cli import comparable, main
from perfagent.hub.store import archive
from tests.hub import ServedHub
from tests.test_compare import send_version
from tests.test_docs import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest_plugins = ["tests.hub"]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHub]:
    """A hub that saw 2.3.0, then a 2.4.0 that is half as slow again."""
    with ServedHub(tmp_path_factory.mktemp("two")) as hub:
        send_version(hub, "2.3.0", 260)
        send_version(hub, "2.4.0", 70, slower=1.5, lines=3, seed=2)
        yield hub


def where(hub: Any) -> list[str]:
    """The words that name a hub."""
    return ["--url", hub.url, "--token", hub.access.token("viewer")]


def test_a_slower_version_exits_with_1_and_says_what_is_slower(
    two: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # a narrow terminal gets fewer columns
    assert main(["compare", "2.3.0", "2.4.0", "--most", "3", *where(two)]) == 1
    told = capsys.readouterr().out
    assert re.search(r"^Worse: GET /orders p(50|95) \+\d\d%", told)
    assert "more with --most" in told
    assert "19 of 20 times" in told
    assert main(["compare", "2.3.0", "2.4.0", "--tolerance", "90", *where(two)]) == 0
    assert main(["compare", "2.3.0", "2.4.0", "--tolerance", "90", "--fail-on", "queries", *where(two)]) == 0
    assert main(["compare", "2.3.0", "2.4.0", "--fail-on", "queries,errors", *where(two)]) == 1
    assert main(["compare", "2.4.0", "2.3.0", *where(two)]) == 0


def test_markdown_has_a_verdict_a_table_and_a_note(two: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "2.3.0", "2.4.0", "--output", "markdown", *where(two)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("### ❌ Worse: GET /orders")
    header = lines.index("| | figure | before | after | change | certainty | |")
    assert lines[header + 1].startswith("|---|")
    assert "**worse**" in lines[header + 2]
    assert all(line.count("|") == 8 for line in lines[header : header + 5])
    assert "Benjamini-Hochberg" in lines[-1]


def test_nothing_to_compare_exits_with_2_and_wrong_words_too(two: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "2026-01-01T10:00..11:00", "2026-01-02T10:00..11:00", *where(two)]) == 2
    assert "Nothing can be compared" in capsys.readouterr().out
    assert main(["compare", "2.3.0", "7.0", *where(two)]) == 2
    assert "shop@2.4.0" in capsys.readouterr().err
    assert main(["compare", "/no/such/run.json", "2.4.0", *where(two)]) == 2
    assert "perfagent hub export" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["compare", "2.3.0", *where(two)])
    with pytest.raises(SystemExit):
        main(["compare", "2.3.0", "2.4.0", "--fail-on", "taste", *where(two)])


def test_a_kept_side_is_compared_on_another_machine(
    two: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, later = str(tmp_path / "main.json"), str(tmp_path / "later.json")
    assert main(["compare", "--save", kept, "2.3.0", *where(two)]) == 0
    assert main(["compare", kept, "2.4.0", "--output", "json", *where(two)]) == 1
    mixed = json.loads(capsys.readouterr().out)
    main(["compare", "2.3.0", "2.4.0", "--output", "json", *where(two)])
    whole = json.loads(capsys.readouterr().out)
    assert [one["change"] for one in mixed["differences"]] == [one["change"] for one in whole["differences"]]
    assert main(["compare", "--save", later, "2.4.0", *where(two)]) == 0
    assert main(["compare", kept, later]) == 1  # no hub is asked
    assert main(["compare", kept, kept]) == 0


def test_exported_runs_are_compared_without_a_hub(two: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    now = time.time()
    archive.export(two.hub.store, tmp_path / "monday", now - 400, now - 180)
    archive.export(two.hub.store, tmp_path / "tuesday", now - 100, now)
    assert main(["compare", str(tmp_path / "monday"), str(tmp_path / "tuesday")]) == 1
    assert "GET /orders" in capsys.readouterr().out


def profile(path: Path, megabytes: float) -> str:
    """A recording of a minute of a process."""
    path.write_text(
        json.dumps(
            {
                "format": "perfagent.profile/1",
                "command": ["python", "app.py"],
                "samples": {
                    "time_seconds": list(range(60)),
                    "rss_bytes": [megabytes * 1e6 + number % 7 * 1e4 for number in range(60)],
                    "cpu_percent": [None, *(20.0 + number % 5 for number in range(59))],
                },
            }
        )
    )
    return str(path)


def test_recordings_of_profile_are_compared_by_memory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, same, more = (
        profile(tmp_path / f"{name}.json", size) for name, size in (("a", 100), ("b", 101), ("c", 130))
    )
    assert main(["compare", before, same]) == 0
    assert main(["compare", before, more]) == 1
    assert "+30%" in capsys.readouterr().out


def load(path: Path, bucket: int) -> str:
    """What a minute of load left."""
    seconds = [
        {"second": second, "buckets": [[bucket - 1, 5 + second % 3], [bucket, 10], [bucket + 1, 5]], "failed": 0}
        for second in range(60)
    ]
    found = {"format": "perfagent.load.http/1", "url": "http://localhost:8000/orders?x=1", "method": "GET"}
    path.write_text(json.dumps({**found, "seconds": seconds}))
    return str(path)


def test_runs_of_the_load_generator_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", load(tmp_path / "a.json", 194), load(tmp_path / "b.json", 197)]) == 1
    assert "GET /orders" in capsys.readouterr().out
    (tmp_path / "c.json").write_text('{"format": "another"}')
    assert main(["compare", str(tmp_path / "a.json"), str(tmp_path / "c.json")]) == 2
    assert "'another'" in capsys.readouterr().err


def test_words_of_people_become_ranges() -> None:
    assert comparable.words("last hour") == "-1h..now"
    assert comparable.words("last 30 minutes") == "-30m..now"
    assert comparable.words("before last 2 hours") == "-4h..-2h"
    assert comparable.words("2.4.0") == "2.4.0"
    begin, end = map(float, comparable.words("2026-11-27T10:00..11:00").split(".."))
    assert end - begin == 3600
    assert time.localtime(begin).tm_hour == 10


def test_the_commands_of_the_guide_work(
    two: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [line for block in blocks("docs/how-to/compare.md", "sh") for line in block.splitlines()]
    statuses = [main([*shlex.split(line)[1:], *where(two)]) for line in lines]
    assert statuses == [1, 1, 1, 0, 0], capsys.readouterr()
