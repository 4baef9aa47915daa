"""compress_data and decompress_data: what goes in comes out, and nothing else does."""

from __future__ import annotations

import math
import subprocess
import sys
import tracemalloc
import zlib
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from perfagent.data import compress_data, decompress_data
from perfagent.data.compression import FORMATS
from tests.program import clean_environment

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(st.text(), inner, max_size=5)),
)


@pytest.mark.slow
@given(st.one_of(st.binary(), st.text(st.characters()), JSON), st.sampled_from(FORMATS))
def test_what_goes_in_comes_out(value: Any, chosen: str) -> None:
    found = decompress_data(compress_data(value, format=chosen))
    assert found == value
    assert repr(found) == repr(value)  # 1, 1.0 and True are not one


def test_nan_lone_surrogates_and_buffers_come_out_too() -> None:
    assert math.isnan(decompress_data(compress_data([float("nan")]))[0])
    assert decompress_data(compress_data("\ud800")) == "\ud800"
    assert decompress_data(memoryview(compress_data(bytearray(b"abc")))) == b"abc"


@pytest.mark.parametrize("chosen", ["zlib", "zstd", "auto"])
def test_what_repeats_gets_small_and_what_does_not_is_stored(chosen: str) -> None:
    rows = [{"id": number, "status": "paid"} for number in range(2000)]
    assert len(compress_data(rows, format=chosen)) < len(repr(rows)) / 5
    import os

    noise = os.urandom(5000)
    assert len(compress_data(noise, format=chosen)) == len(noise) + 20


@pytest.mark.parametrize("chosen", ["zlib", "zstd"])
def test_a_bomb_is_refused_before_it_is_unpacked(chosen: str) -> None:
    bomb = compress_data(b"\0" * 50_000_000, format=chosen)
    assert len(bomb) < 100_000
    tracemalloc.start()
    with pytest.raises(ValueError, match="would unpack to 50000000 bytes, more than max_size=1000"):
        decompress_data(bomb, max_size=1000)
    liar = bomb[:8] + (1000).to_bytes(8, "big") + bomb[16:]  # a header that tells less than is in it
    with pytest.raises(ValueError, match="is damaged"):
        decompress_data(liar, max_size=1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12_000_000  # a window of zstd at most
    assert len(decompress_data(bomb)) == 50_000_000


@pytest.mark.parametrize("chosen", ["zlib", "zstd", "stored"])
def test_every_changed_bit_and_every_cut_is_found(chosen: str) -> None:
    value = {"name": "value", "numbers": list(range(40))}
    packed = compress_data(value, format=chosen)
    for place in range(len(packed)):
        for bit in (0, 3, 7):
            changed = bytearray(packed)
            changed[place] ^= 1 << bit
            try:
                found = decompress_data(bytes(changed))
            except ValueError:
                continue
            assert found == value
    for cut in range(len(packed)):
        with pytest.raises(ValueError, match="data "):
            decompress_data(packed[:cut])
    with pytest.raises(ValueError, match="is damaged"):
        decompress_data(packed + b"x")


def test_bytes_of_somebody_else_are_refused() -> None:
    for other in (b"", b"PFA", zlib.compress(b"x" * 100), zstandard.compress(b"x"), b"PFA2" + b"\0" * 30):
        with pytest.raises(ValueError, match="data is"):
            decompress_data(other)


def test_wrong_arguments_are_named() -> None:
    for value in ((1, 2), {1: 2}, {"a": [{"b": object()}]}, {"a": {1, 2}}):
        with pytest.raises(TypeError, match="data"):
            compress_data(value)
    with pytest.raises(TypeError, match=r"data\['a'\]\[0\]\['b'\] is of type object"):
        compress_data({"a": [{"b": object()}]})
    for options in (
        {"format": "rar"},
        {"format": "zlib", "level": 12},
        {"format": "zstd", "level": 0},
        {"level": True},
    ):
        with pytest.raises(ValueError, match=r"is not accepted: .*; for example"):
            compress_data("x", **options)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="data is of type str: the bytes that compress_data gave"):
        decompress_data("PFA1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_size=-1"):
        decompress_data(compress_data("x"), max_size=-1)


WITHOUT = """
import sys
for name in ("zstandard", "pandas", "numpy", "sqlalchemy", "sqlglot"):
    sys.modules[name] = None
import perfagent
assert perfagent.decompress_data(perfagent.compress_data({"a": 1})) == {"a": 1}
from perfagent.data import AsyncFileProcessor
import asyncio
async def read():
    return [row async for rows in AsyncFileProcessor().read_rows(sys.argv[1]) for row in rows]
assert asyncio.run(read()) == [["a", "b"]], asyncio.run(read())
async def frames():
    return [frame async for frame in AsyncFileProcessor().read_csv_chunks(sys.argv[1])]
for call in (
    lambda: perfagent.optimize_dataframe_memory(None), lambda: perfagent.QueryOptimizer(None),
    lambda: perfagent.PaginatedQuery(None, None), lambda: perfagent.compress_data("x" * 99, format="zstd"),
    lambda: asyncio.run(frames()),
):
    try:
        call()
    except ImportError as error:
        print(error)
"""


def test_without_the_extra_one_line_tells_what_is_missing(tmp_path: Any) -> None:
    (tmp_path / "a.csv").write_text("a,b\n")
    command = [sys.executable, "-c", WITHOUT, str(tmp_path / "a.csv")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=clean_environment({}))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    assert all('pip install "perfagent[data]"' in line for line in lines)
