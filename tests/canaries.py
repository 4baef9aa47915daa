"""Canaries: a secret for each place that an instrument can see, and the search for them in what leaves a process.

What is searched is bytes: as they are, percent-encoded (a canary is letters and digits alone, so that is the same), in
base64 at each of its three offsets, and in hexadecimal.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests import matrices
from tests.program import find_free_port
from tests.web import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.conftest import RunProgram
    from tests.program import Program

APPS = Path(__file__).parent / "apps"
PLACES = sorted(
    {
        place
        for path in APPS.glob("canary_*.py")
        for _quote, place in re.findall(r"""canary\((["'])(.+?)\1\)""", path.read_text())
    }
)
PLACES += ["command line", "header for the receiver", "answer of a model"]
CANARIES = {place: f"zqx{number:03}canary{number * 7919 % 9973:04}xqz" for number, place in enumerate(PLACES)}


def shapes(secret: str) -> list[bytes]:
    """Every form in which a secret may be found."""
    raw = secret.encode()
    in_base64 = []
    for before in range(3):
        text = base64.b64encode(b"\0" * before + raw)
        in_base64.append(text[4 if before else 0 : len(text) // 4 * 4 - 4])  # what its neighbours do not change
    return [raw, raw.upper(), raw[::-1], raw.hex().encode(), raw.hex().upper().encode(), *in_base64]


def left(content: bytes) -> list[str]:
    """The places whose canaries are in there."""
    for unpack in (gzip.decompress, zlib.decompress):
        try:
            content += unpack(content)
        except Exception:  # most is not packed
            continue
    return [place for place, secret in CANARIES.items() if any(shape in content for shape in shapes(secret))]


def check(what: str, contents: Iterable[bytes]) -> None:
    """Asserts that nothing of it holds a canary."""
    found: dict[str, bytes] = {}
    size = 0
    for content in contents:
        size += len(content)
        for place in left(content):
            at = content.find(CANARIES[place].encode())
            found.setdefault(place, content[max(at - 300, 0) : at + 60])
    assert size > 0, f"nothing was searched in {what}"
    assert not found, f"in {what}: {found}"
    matrices.record("secrets", what, canaries=len(CANARIES), bytes=size, left=0)


def files(folder: Path) -> Iterable[bytes]:
    return (path.read_bytes() for path in folder.rglob("*") if path.is_file())


def start(run_program: RunProgram, directory: Path, app: str, told: dict[str, Any], env: dict[str, str]) -> Program:
    """Runs a program of canaries until it has done all that it does.

    Args:
        run_program: starts it.
        directory: where what it is told is written.
        app: its name in `tests/apps`.
        told: where its servers are.
        env: its environment.
    """
    release = directory / "release"
    ports = {"port": find_free_port(), "dead_port": find_free_port()}
    told = {"canaries": CANARIES, **ports, "waits": str(release), **told}
    (directory / "told.json").write_text(json.dumps(told))
    program = run_program(
        "perfagent", "run", sys.executable, "-m", f"tests.apps.{app}", str(directory / "told.json"),
        f"--password={CANARIES['command line']}", env=env, cwd=ROOT,
    )  # fmt: skip
    program.wait_for_output("done", timeout=90)
    return program
