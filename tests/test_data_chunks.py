"""AsyncFileProcessor on real files: every row once, in order, in bounded memory, beside a living event loop."""

from __future__ import annotations

import asyncio
import bz2
import contextlib
import csv
import gzip
import io
import json
import lzma
import os
import shutil
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
import zstandard

from perfagent.data import AsyncFileProcessor
from perfagent.data.measures import FileMeasures
from tests.program import clean_environment

if TYPE_CHECKING:
    from pathlib import Path

PACKERS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstandard.compress, "csv": bytes}


def text(rows: int) -> str:
    lines = io.StringIO()
    writer = csv.writer(lines)
    writer.writerow(["id", "name", "share"])
    writer.writerows((number, f'näme "{number}"\nof, two lines', number / 4) for number in range(rows))
    return lines.getvalue()


async def gather(chunks: Any) -> list[Any]:
    return [chunk async for chunk in chunks]


def frames(path: Path, size: int = 100, memory: int = 512, **options: Any) -> list[pd.DataFrame]:
    processor = AsyncFileProcessor(chunk_size=size, max_memory_mb=memory)
    return asyncio.run(gather(processor.read_csv_chunks(path, **options)))


def open_files(path: Path) -> int:
    links = [os.path.join("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
    return sum(os.path.exists(link) and os.path.realpath(link) == str(path) for link in links)


@pytest.mark.parametrize("packer", PACKERS)
def test_chunks_are_the_file_in_its_order_however_it_is_packed(packer: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.csv.{packer}"
    path.write_bytes(PACKERS[packer](text(1234).encode()))
    found = frames(path)
    assert max(map(len, found)) == 100
    expected = pd.read_csv(io.StringIO(text(1234)))
    pd.testing.assert_frame_equal(pd.concat(found), expected)
    rows = asyncio.run(gather(AsyncFileProcessor(chunk_size=100).read_rows(path)))
    assert [row for chunk in rows for row in chunk] == list(csv.reader(io.StringIO(text(1234))))
    assert open_files(path) == 0


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1", "utf-8-sig"])
def test_encodings_and_separators_are_those_of_the_file(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("name;n\nä;1\nö;2\n", encoding=encoding)
    (found,) = frames(path, encoding=encoding, sep=";")
    assert found.to_dict("list") == {"name": ["ä", "ö"], "n": [1, 2]}
    processor = AsyncFileProcessor()
    ((_, *rows),) = asyncio.run(gather(processor.read_rows(path, encoding=encoding, delimiter=";")))
    assert rows == [["ä", "1"], ["ö", "2"]]


def test_line_ends_of_every_kind_and_a_last_line_without_one(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for end in ("\n", "\r\n", "\r"):
        path.write_bytes(end.join(["a,b", *(f"{number},x" for number in range(500))]).encode())
        assert [one for chunk in frames(path, 99) for one in chunk["a"]] == list(range(500))


def test_bad_lines_are_an_error_or_left_out_as_one_likes(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n1,2,3\n4,5\n")
    with pytest.raises(ValueError, match="Expected 2 fields in line 3"):
        frames(path)
    assert sum(map(len, frames(path, on_bad_lines="skip"))) == 2
    with pytest.warns(pd.errors.ParserWarning):
        assert sum(map(len, frames(path, on_bad_lines="warn"))) == 2
    path.write_bytes(b"a\n\xff\n")
    with pytest.raises(UnicodeDecodeError):
        frames(path)
    assert frames(path, encoding_errors="replace")[0]["a"][0] == "\ufffd"
    assert open_files(path) == 0


def test_types_only_widen_from_chunk_to_chunk(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    parts = [("1", "x", "1", "True"), ("2.5", "", "1", "False"), ("3", "y", "z", "True"), ("4", "7", "2", "")]
    path.write_text("n,t,m,b\n" + "".join(",".join(part) + "\n" for part in parts))
    found = frames(path, 1)
    assert [str(chunk["n"].dtype) for chunk in found] == ["int64", "float64", "float64", "float64"]
    assert [chunk["n"].iloc[0] for chunk in found] == [1, 2.5, 3, 4]
    assert found[1]["t"].dtype == found[0]["t"].dtype  # an empty field says nothing of the type
    assert [str(chunk["m"].dtype) for chunk in found[:2]] == ["int64", "int64"]
    assert found[3]["m"].dtype == object
    assert found[3]["m"].iloc[0] == 2
    assert all(isinstance(chunk["t"].iloc[0], str) for chunk in frames(path, 1, dtype={"t": str})[2:])


@pytest.mark.slow
def test_rows_that_get_a_thousand_times_as_long_make_shorter_chunks(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("w") as file:
        file.write("id,text\n")
        file.writelines(f"{number},a\n" for number in range(50_000))
        file.writelines(f"{number},{'x' * 20_000}\n" for number in range(1000))
    found = frames(path, 50_000, memory=16)
    assert sum(map(len, found)) == 51_000
    assert max(int(chunk["text"].str.len().sum()) for chunk in found) < 2_000_000
    assert max(map(len, found)) > 10_000


def test_only_one_chunk_is_read_ahead_and_the_file_is_closed_at_the_end_of_the_block(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a\n" + "1\n" * 10_000)
    rows = FileMeasures("csv").rows

    def counted() -> float:
        rows.fold()
        return rows.value

    async def main() -> None:
        before = counted()
        chunks = AsyncFileProcessor(chunk_size=100).read_csv_chunks(path)
        async with contextlib.aclosing(chunks):
            await chunks.__anext__()
            deadline = asyncio.get_running_loop().time() + 60
            while counted() - before < 200 and asyncio.get_running_loop().time() < deadline:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)  # time enough to read on, if it did
            assert counted() - before == 200
            assert open_files(path) == 1
        assert open_files(path) == 0

    asyncio.run(main())


@pytest.mark.parametrize("how", ["cancel", "raise", "break"])
def test_who_leaves_early_leaves_no_open_file(how: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a\n" + "1\n" * 100_000)

    async def use() -> None:
        async for _ in AsyncFileProcessor(chunk_size=10).read_csv_chunks(path):
            if how == "raise":
                raise KeyError
            if how == "break":
                break
            await asyncio.sleep(0)

    async def main() -> None:
        task = asyncio.create_task(use())
        if how == "cancel":
            while not open_files(path):
                await asyncio.sleep(0.001)
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        del task
        deadline = asyncio.get_running_loop().time() + 60
        while open_files(path) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)
        assert open_files(path) == 0

    asyncio.run(main())


def test_a_function_is_called_with_every_chunk_several_at_a_time_in_order(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a\n" + "".join(f"{number}\n" for number in range(1000)))
    processor = AsyncFileProcessor(chunk_size=100, max_workers=3)
    met = threading.Barrier(3, timeout=20)  # three at once, or it breaks

    def first(frame: pd.DataFrame) -> int:
        if frame["a"].iloc[0] < 300:
            met.wait()
        return int(frame["a"].iloc[0])

    async def total(frame: pd.DataFrame) -> int:
        await asyncio.sleep(0)
        return int(frame["a"].sum())

    async def main() -> None:
        assert await processor.process(path, first) == list(range(0, 1000, 100))
        assert await processor.process(path, total, combine=lambda a, b: a + b) == 499_500
        assert await processor.process(path, total, combine=max, usecols=["a"]) == sum(range(900, 1000))

    asyncio.run(main())


def test_a_function_that_fails_ends_it_and_closes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a\n" + "1\n" * 100_000)
    calls: list[int] = []

    def fail(frame: pd.DataFrame) -> None:
        calls.append(1)
        raise KeyError("own")

    with pytest.raises(KeyError, match="own"):
        asyncio.run(AsyncFileProcessor(chunk_size=10, max_workers=2).process(path, fail))
    assert len(calls) < 10
    assert open_files(path) == 0


def test_empty_files_and_wrong_arguments(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n")
    assert [list(chunk.columns) for chunk in frames(path)] == [["a", "b"]]
    path.write_text("")
    with pytest.raises(ValueError, match="No columns"):
        frames(path)
    assert asyncio.run(gather(AsyncFileProcessor().read_rows(path))) == []
    (tmp_path / "b.gz").write_text("a\n1\n")
    with pytest.raises(ValueError, match="is named as gzip and is none"):
        frames(tmp_path / "b.gz")
    with pytest.raises(FileNotFoundError):
        frames(tmp_path / "none.csv")
    for options, told in (({"chunksize": 5}, "chunksize=5"), ({"compression": "rar"}, "compression='rar'")):
        with pytest.raises(ValueError, match=told):
            frames(path, **options)
    for name in ("chunk_size", "max_memory_mb", "max_workers"):
        with pytest.raises(ValueError, match=f"{name}=0 is not accepted.*for example"):
            AsyncFileProcessor(**{name: 0})
    with pytest.raises(ValueError, match="function='x'"):
        asyncio.run(AsyncFileProcessor().process(path, "x"))  # type: ignore[arg-type]


@pytest.mark.slow
def test_it_costs_little_more_than_a_bare_loop_of_pandas(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("w") as file:
        file.write("id,name,amount,share\n")
        file.writelines(f"{number},name {number % 97},{number % 1000},{number / 4}\n" for number in range(1_000_000))

    def bare() -> int:
        return sum(int(chunk["amount"].sum()) for chunk in pd.read_csv(path, chunksize=50_000))

    async def ours() -> int:
        return sum([int(chunk["amount"].sum()) async for chunk in AsyncFileProcessor().read_csv_chunks(path)])

    ratios = []
    for _ in range(5):  # in turns, by CPU time: others work on the machine too
        begin = time.process_time()
        expected = bare()
        between = time.process_time()
        assert asyncio.run(ours()) == expected
        ratios.append((time.process_time() - between) / (between - begin))
    print(ratios)
    assert min(ratios) < 2  # 1.07 to 1.35 were measured


GIGABYTE = """
import asyncio, json, sys, time
import pandas
from perfagent.data import AsyncFileProcessor

def status(name):
    for line in open("/proc/self/status"):
        if line.startswith(name):
            return int(line.split()[1]) * 1024

async def main(path, kind):
    processor, rows, total, ticks, worst, before = AsyncFileProcessor(), 0, 0, 0, 0.0, status("VmRSS")

    async def tick():
        nonlocal ticks, worst
        while True:
            begin = time.perf_counter()
            await asyncio.sleep(0.01)
            worst = max(worst, time.perf_counter() - begin - 0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    begin = time.perf_counter()
    if kind == "chunks":
        async for chunk in processor.read_csv_chunks(path):
            rows += len(chunk)
            total += int(chunk["amount"].sum())
    else:
        both = lambda frame: (len(frame), int(frame["amount"].sum()))
        rows, total = await processor.process(path, both, combine=lambda a, b: (a[0] + b[0], a[1] + b[1]))
    seconds = time.perf_counter() - begin
    ticking.cancel()
    print(json.dumps({"rows": rows, "total": total, "peak": status("VmHWM"), "before": before, "ticks": ticks,
                      "worst": worst, "seconds": seconds}))

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def gigabyte(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A CSV file of 1 GB, with how many rows it has and what their amounts add up to."""
    folder = tmp_path_factory.mktemp("gigabyte")
    if shutil.disk_usage(folder).free < 3e9:
        pytest.skip("needs 3 GB of free disk")
    path = folder / "big.csv"
    block = "".join(
        f"{n},customer {n % 997},{n * 7 % 1000},{n / 8},2024-01-{n % 28 + 1:02d},a note\n" for n in range(200_000)
    )
    times = -(-1_000_000_000 // len(block))
    with path.open("w") as file:
        file.write("id,customer,amount,price,day,note\n")
        for _ in range(times):
            file.write(block)
    yield path, 200_000 * times, sum(n * 7 % 1000 for n in range(200_000)) * times
    path.unlink()


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("kind", ["chunks", "process"])
def test_a_file_of_a_gigabyte_is_read_within_the_limit_beside_a_living_loop(gigabyte: Any, kind: str) -> None:
    path, rows, total = gigabyte
    assert path.stat().st_size >= 1_000_000_000
    limit = 256_000_000
    done = subprocess.run(
        [sys.executable, "-c", GIGABYTE, str(path), kind],
        env=clean_environment({"ANALYTICS_MAX_MEMORY_MB": "256"}),
        capture_output=True,
        text=True,
        check=False,
        timeout=380,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    print(told)
    assert (told["rows"], told["total"]) == (rows, total)
    assert told["peak"] < limit  # pandas itself and the interpreter included
    assert told["ticks"] > told["seconds"] / 0.01 / 10  # a blocked loop would have ticked once a chunk
    assert told["worst"] < told["seconds"] / 8
