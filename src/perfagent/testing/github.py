"""Annotations and the job's summary as GitHub Actions reads them ("Workflow commands for GitHub Actions")."""

from __future__ import annotations

import os

from perfagent.testing.limits import TIMES_SIGN, WORDS, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

ROWS = 50  # tests in the summary; GitHub takes 1 MiB
SHOWN = 10  # annotations of one kind that GitHub shows of a step


def errors(tests: Iterable[Mapping[str, Any]], root: str) -> Iterator[str]:
    """A line for each figure that is over its limit, at the line that did most of it, else at the test.

    Args:
        tests: as `told.document` makes them.
        root: what the tests' files are relative to.
    """
    for test in tests:
        for excess in test["over"]:
            file, line = excess.get("file") or test["file"], excess.get("line") or test["line"]
            what = f"{excess['what']}{times(excess)}\n" if excess.get("what") else ""
            yield command(
                f"{excess['message']}\n{what}in {test['test']}\n\n{test['text'].partition(chr(10) * 2)[2]}",
                file=_in_repository(file, root),
                line=line,
                title=f"Performance budget: {excess['endpoint'] or test['test']}",
            )


def times(excess: Mapping[str, Any]) -> str:
    """How often what contributed most did so."""
    return f" {TIMES_SIGN}{excess['times']}" if excess.get("times", 1) > 1 else ""


def command(message: str, **properties: object) -> str:
    """A workflow command of an error.

    Args:
        message: of any number of lines.
        properties: file, line, title.
    """
    pairs = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items())
    return f"::error {pairs}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _in_repository(path: str, root: str) -> str:
    """A path as seen from the checkout: GitHub finds no other."""
    whole = os.path.abspath(os.path.join(root, path))
    checkout = os.environ.get("GITHUB_WORKSPACE") or root
    found = os.path.relpath(whole, checkout)
    return path if found.startswith("..") else found


def summarise(path: str, tests: Mapping[str, Mapping[str, Any]]) -> None:
    """Adds the job's summary to the file that GitHub reads it from; "" for none."""
    if path and tests:
        with open(path, "a", encoding="utf-8") as file:
            file.write("\n".join((*markdown(tests.values()), "")))


def markdown(tests: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The summary's lines: what is over, with its trace, then what every test used."""
    every = list(tests)
    over = [test for test in every if test["over"]]
    yield f"### Performance budgets: {len(over)} of {len(every)} tests over"
    yield ""
    for test in over[:ROWS]:
        for excess in test["over"]:
            where = f" at `{excess['file']}:{excess['line']}`" if excess.get("file") else ""
            yield f"- {_cell(excess['message'])}{where}"
        tree = test["text"].replace("```", "'''")
        yield from ("", "<details><summary>" + _cell(test["test"]) + "</summary>", "", "```text", tree, "```", "")
        yield from ("</details>", "")
    keys = [key for key in WORDS if key != "cpu" and any(test["measured"].get(key) for test in every)]
    yield "| test | " + " | ".join(WORDS[key] for key in keys) + " |"
    yield "| --- |" + " ---: |" * len(keys)
    for test in sorted(every, key=lambda one: -one["measured"]["time"])[:ROWS]:
        cells = (shown(key, test["measured"][key]) if key in test["measured"] else "" for key in keys)
        yield f"| {_cell(test['test'])} | " + " | ".join(cells) + " |"
    if len(every) > ROWS:
        yield f"\nand {len(every) - ROWS} faster ones"


def _cell(text: str) -> str:
    """A text that no Markdown or HTML comes out of."""
    for mark, safe in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("`", "'"), ("\n", " ")):
        text = text.replace(mark, safe)
    return text
