"""Profiles in the hub: OTLP as opentelemetry-proto encodes it, sent to a hub, and what its interface makes of it."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import subprocess
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.profiles.v1development import profiles_pb2

from perfagent.hub.receive import limits, profiles, wire
from perfagent.hub.store import archive
from perfagent.hub.store import profiles as stored
from perfagent.hub.store.upkeep import Upkeep
from tests.hub import ServedHub, resource, span, traces
from tests.profiles import PATH, Profiles
from tests.servers import missing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

    from tests.hub import ServeHub
    from tests.profiles import Call

MS = 1_000_000
SERVE: Call = ("serve", "/usr/lib/python3.11/asyncio/runners.py", 1, 12)
VIEW: Call = ("cart", "/srv/shop/views.py", 20, 24)
SUM: Call = ("total", "/srv/shop/prices.py", 5, 8)
SUM_LATER: Call = ("total", "/srv/shop/prices.py", 5, 9)
DUMP: Call = ("dumps", "/srv/env/lib/python3.11/site-packages/orjson/__init__.py", 1, 3)
TRACE, SPAN = bytes(range(16)), bytes(range(1, 9))


def post(hub: ServedHub, body: bytes, kind: str = "application/x-protobuf", **headers: str) -> httpx.Response:
    """The answer to a request of profiles."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return hub.client.post(PATH, content=body, headers={"content-type": kind, **named})


def shop() -> Profiles:
    """A known profile: 60 ms in one line, 30 in another, 10 in a library, 5 ms of CPU."""
    made = Profiles(version="1.0")
    made.add([SERVE, VIEW, SUM], 60 * MS, endpoint="GET /cart", state="running")
    made.add([SERVE, VIEW, SUM_LATER], 30 * MS, endpoint="GET /cart", trace=TRACE, span=SPAN, times=[0, MS, 2 * MS])
    made.add([SERVE, VIEW, DUMP], 10 * MS, endpoint="GET /dump", thread="worker", task="dump_all")
    made.add([SERVE, VIEW, SUM], 5 * MS, kind="cpu", endpoint="GET /cart")
    return made.add([VIEW], 4096, kind="alloc_space")


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHub]:
    """A hub with the known profile, that nobody changes."""
    with ServedHub(tmp_path_factory.mktemp("profiles")) as hub:
        answer = post(hub, shop().encode())
        assert (answer.status_code, answer.content) == (200, b"")
        yield hub


def nodes(flame: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Total and own time of each path of a flame graph."""
    columns, names = flame["nodes"], [one["name"] for one in flame["functions"]]
    paths: list[str] = []
    found = {}
    for at, parent in enumerate(columns["parent"]):
        paths.append((f"{paths[parent]};" if parent >= 0 else "") + names[columns["function"][at]])
        found[paths[-1]] = (columns["total"][at], columns["self"][at])
    return found


def test_a_flame_graph_sums_what_was_sent(known: ServedHub) -> None:
    flame = known.get("profiles/tree")
    assert nodes(flame) == {
        "serve": (100.0, 0.0),
        "serve;cart": (100.0, 0.0),
        "serve;cart;total": (90.0, 90.0),
        "serve;cart;dumps": (10.0, 10.0),
    }
    assert (flame["unit"], flame["now"]["total"], flame["left_out"]) == ("ms", 100.0, False)
    assert {one["name"]: one["origin"] for one in flame["functions"]} == {
        "serve": "stdlib", "cart": "own", "total": "own", "dumps": "library",
    }  # fmt: skip
    (total,) = [at for at, one in enumerate(flame["functions"]) if one["name"] == "total"]
    assert flame["nodes"]["line"][flame["nodes"]["function"].index(total)] == 8  # where most of it was


@pytest.mark.parametrize(
    ("filters", "total"),
    [
        ({"endpoint": "GET /cart"}, 90.0),
        ({"thread": "worker"}, 10.0),
        ({"task": "dump_all"}, 10.0),
        ({"state": "running"}, 60.0),
        ({"trace_id": TRACE.hex()}, 30.0),
        ({"trace_id": TRACE.hex(), "span_id": SPAN.hex()}, 30.0),
        ({"trace_id": TRACE.hex(), "span_id": "ff" * 8}, 0.0),
        ({"service": "shop", "instance": "shop-1", "version": "1.0"}, 100.0),
        ({"version": "2.0"}, 0.0),
        ({"service": "other"}, 0.0),
        ({"type": "cpu"}, 5.0),
        ({"type": "alloc"}, 4096.0),
        ({"type": "gil"}, 0.0),
        ({"from_": "-3h"}, 100.0),  # of the minutes
    ],
)
def test_filters_leave_what_they_say(known: ServedHub, filters: dict[str, str], total: float) -> None:
    flame = known.get("profiles/tree", **filters)
    roots = sum(
        value for value, parent in zip(flame["nodes"]["total"], flame["nodes"]["parent"], strict=True) if parent < 0
    )
    assert (flame["now"]["total"], roots) == (total, total)


def test_functions_and_lines_are_in_the_order_of_what_they_take(known: ServedHub) -> None:
    functions = known.get("profiles/functions")["items"]
    assert [(one["name"], one["self"], one["total"]) for one in functions] == [
        ("total", 90.0, 90.0), ("dumps", 10.0, 10.0), ("cart", 0.0, 100.0), ("serve", 0.0, 100.0),
    ]  # fmt: skip
    lines = known.get("profiles/lines", function=functions[0]["id"])["items"]
    assert [(one["line"], one["self"]) for one in lines] == [(8, 60.0), (9, 30.0)]
    assert known.get("profiles/lines", most=1)["items"][0]["file"] == "/srv/shop/prices.py"


def test_recursion_counts_a_function_once(hub: ServedHub) -> None:
    deep: Call = ("walk", "/srv/tree.py", 1, 3)
    post(hub, Profiles().add([deep] * 20, 7 * MS).encode())
    (one,) = hub.get("profiles/functions")["items"]
    assert (one["self"], one["total"]) == (7.0, 7.0)
    (line,) = hub.get("profiles/lines")["items"]
    assert (line["self"], line["total"]) == (7.0, 7.0)


def test_what_there_is_to_filter_by_is_told(known: ServedHub) -> None:
    found = known.get("profiles")
    assert [(one["type"], one["unit"], one["total"]) for one in found["types"]] == [
        ("wall", "ms", 100.0), ("cpu", "ms", 5.0), ("alloc", "bytes", 4096.0),
    ]  # fmt: skip
    assert [one["value"] for one in found["endpoints"]] == ["GET /cart", "GET /dump"]
    assert [one["value"] for one in found["versions"]] == ["1.0"]


def test_two_releases_are_compared_per_request(hub: ServedHub) -> None:
    for version, value, requests in (("1.0", 10, 2), ("2.0", 90, 6)):
        made = Profiles(instance=f"shop-{version}", version=version)
        made.add([SERVE, VIEW], value * MS, endpoint="GET /cart").add([SERVE, SUM], requests * MS, endpoint="GET /cart")
        assert post(hub, made.encode()).status_code == 200
        spans = [
            span(number, "GET /cart", trace=number, http__route="/cart", ago=15) for number in range(1, requests + 1)
        ]
        hub.send("traces", traces(resource("shop", f"shop-{version}", service__version=version), *spans))
    flame = hub.get("profiles/tree", before="1.0", after="2.0")
    columns, names = flame["nodes"], [one["name"] for one in flame["functions"]]
    found = {
        names[function]: (now, pytest.approx(before))
        for function, now, before in zip(columns["function"], columns["total"], columns["before"], strict=True)
    }
    assert flame["per"] == "request"
    assert found == {"serve": (96.0, 36.0), "cart": (90.0, 30.0), "total": (6.0, 6.0)}  # three times the requests


def test_a_trace_has_a_flame_chart(known: ServedHub) -> None:
    chart = known.get(f"profiles/traces/{TRACE.hex()}")
    assert [round(one["offset_ms"], 3) for one in chart["moments"]] == [0.0, 1.0, 2.0]
    assert {one["duration_ms"] for one in chart["moments"]} == {10.0}
    names = [one["name"] for one in chart["functions"]]
    assert [names[at] for at in chart["stacks"][0]] == ["serve", "cart", "total"]
    assert known.get(f"profiles/traces/{'ab' * 16}")["moments"] == []


def test_a_profile_is_a_file_of_other_tools(known: ServedHub, tmp_path: Path) -> None:
    def export(name: str) -> bytes:
        response = known.ask("profiles/export", params={"format": name})
        assert response.status_code == 200
        return response.content

    stacks = dict(line.rsplit(" ", 1) for line in export("collapsed").decode().splitlines())
    assert sum(map(int, stacks.values())) == 100_000
    serve, cart, total = (f"{name} ({file}:{line})" for name, file, _, line in (SERVE, VIEW, SUM))
    assert stacks[f"{serve};{cart};{total}"] == "60000"

    document = json.loads(export("speedscope"))
    (shown,) = document["profiles"]
    assert (shown["unit"], shown["endValue"], sum(shown["weights"])) == ("nanoseconds", 100 * MS, 100 * MS)
    assert all(0 <= at < len(document["shared"]["frames"]) for stack in shown["samples"] for at in stack)

    data = profiles_pb2.ProfilesData.FromString(export("otlp"))
    (profile,) = data.resource_profiles[0].scope_profiles[0].profiles
    assert sum(sample.values[0] for sample in profile.samples) == 100 * MS

    file = tmp_path / "wall.pb.gz"
    file.write_bytes(export("pprof"))
    assert b"prices.py" in gzip.decompress(file.read_bytes())


def test_go_reads_a_profile_for_pprof(known: ServedHub, tmp_path: Path) -> None:
    go = shutil.which("go", path=f"{os.environ.get('PATH', '')}:/usr/local/go/bin") or missing(
        "go", "https://go.dev/dl"
    )
    file = tmp_path / "wall.pb.gz"
    file.write_bytes(known.ask("profiles/export", params={"format": "pprof"}).content)
    shown = subprocess.run(
        [go, "tool", "pprof", "-top", "-lines", str(file)], capture_output=True, text=True, timeout=120, check=True
    ).stdout
    rows = [line.split() for line in shown.splitlines() if "prices.py:8" in line]
    assert rows[0][:2] == ["60ms", "60.00%"], shown


def test_what_a_hub_exports_another_one_takes(known: ServedHub, hub: ServedHub) -> None:
    body = known.ask("profiles/export", params={"format": "otlp", "service": "shop", "from": "-1h"}).content
    assert post(hub, body).status_code == 200
    assert nodes(hub.get("profiles/tree", from_="-2h")) == nodes(known.get("profiles/tree"))


def test_json_and_gzip_are_taken_as_well(serve_hub: ServeHub) -> None:
    plain, packed = serve_hub(), serve_hub()
    document = MessageToDict(shop().message)
    for link in document["dictionary"]["linkTable"]:  # OTLP's JSON has these in hexadecimal
        if link:
            link.update(traceId=TRACE.hex(), spanId=SPAN.hex())
    answer = post(plain, json.dumps(document).encode(), "application/json")
    assert (answer.status_code, answer.json()) == (200, {})
    assert post(packed, gzip.compress(shop().encode()), content_encoding="gzip").status_code == 200
    for hub in (plain, packed):
        assert nodes(hub.get("profiles/tree", trace_id=TRACE.hex())) == {
            "serve": (30.0, 0.0), "serve;cart": (30.0, 0.0), "serve;cart;total": (30.0, 30.0),
        }  # fmt: skip


def test_samples_of_another_profiler_count_as_the_time_that_they_stand_for(hub: ServedHub) -> None:
    made = Profiles().add([VIEW], 3, kind="samples")
    profile = made.profile("samples")
    profile.sample_type.unit_strindex = made.text("count")
    profile.period_type.type_strindex = made.text("cpu")
    assert post(hub, made.encode()).status_code == 200
    assert nodes(hub.get("profiles/tree", type="cpu")) == {"cart": (30.0, 30.0)}


def test_the_same_request_counts_once(hub: ServedHub) -> None:
    body = shop().encode()
    assert [post(hub, body).status_code for _ in range(3)] == [200] * 3
    assert hub.get("profiles/tree")["now"]["total"] == 100.0


def test_what_cannot_be_is_refused_with_its_reason(hub: ServedHub) -> None:
    made = shop()
    wall = made.profile("wall")
    wall.samples[0].stack_index = 99
    wall.samples[1].link_index = -1
    wall.samples[2].values[0] = -5
    made.profile("cpu").time_unix_nano = 1
    made.message.dictionary.location_table[1].lines[0].function_index = 10**6
    answer = post(hub, made.encode())
    assert answer.status_code == 200
    told = wire.Response.FromString(answer.content).partial_success
    reason = told.error_message.decode()
    assert told.rejected == 4, reason
    for part in ("not in the dictionary", "negative", "older than"):
        assert part in reason
    assert hub.get("profiles/tree", type="alloc")["now"]["total"] == 4096.0  # the good one is kept


def test_a_minute_whose_sum_has_no_room_is_stored_with_the_most_that_there_is_room_for(hub: ServedHub) -> None:
    sent = Profiles()
    for _ in range(9_500):
        sent.add([("f", "a.py", 1, 2)], 10**15)
    assert post(hub, sent.encode()).status_code == 200
    for path in ("profiles", "profiles/tree", "profiles/lines", "profiles/export?format=pprof"):
        for hours in (1, 3):
            assert hub.ask(f"{path}{'&' if '?' in path else '?'}hours={hours}").status_code == 200, (path, hours)


def test_a_request_that_is_none_is_refused(hub: ServedHub) -> None:
    assert post(hub, b"\xff\xff\xff").status_code == 400
    assert post(hub, b'{"resourceProfiles": 3}', "application/json").status_code == 400
    assert post(hub, b"x", "text/plain").status_code == 415


def test_noise_in_place_of_a_profile_breaks_nothing(hub: ServedHub) -> None:
    body, rng = shop().encode(), random.Random(9)
    statuses = Counter()
    for _ in range(300):
        broken = bytearray(body)
        for _ in range(rng.randrange(1, 8)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        statuses[post(hub, bytes(broken[: rng.randrange(len(broken) // 2, len(broken) + 1)])).status_code] += 1
    assert set(statuses) == {200, 400}
    assert hub.ask("profiles/tree").status_code == 200


def test_a_small_request_cannot_unfold_to_a_large_one() -> None:
    made = Profiles().add([VIEW], MS)
    for _ in range(9000):  # 300 calls each, two bytes a stack's call
        made.message.dictionary.stack_table.add(location_indices=[1] * 300)
        made.profile("wall").samples.add(stack_index=len(made.message.dictionary.stack_table) - 1, values=[1])
    batch = profiles.decode(made.encode())
    assert "beyond 2000000 calls" in batch.reason
    assert len(batch.profiles) <= profiles.CALLS // 300 + 1


def test_a_dictionary_of_nothing_but_entries_is_not_even_parsed() -> None:
    with pytest.raises(limits.Malformed, match="entries"):
        profiles.decode(b"\x12" + _size(1_000_000) + b"\x2a\x00" * 500_000)
    with pytest.raises(limits.Malformed, match="bytes"):
        profiles.decode(b"\x12" + _size(9_000_000) + bytes(9_000_000))


def _size(number: int) -> bytes:
    found = b""
    while number > 127:
        found, number = found + bytes([number & 127 | 128]), number >> 7
    return found + bytes([number])


def test_a_stack_without_end_keeps_both_its_ends() -> None:
    calls: list[Call] = [(f"step{depth}", "/srv/deep.py", depth, depth) for depth in range(3000)]
    batch = profiles.decode(Profiles().add(calls, MS).encode())
    (path,) = batch.stacks.values()
    names = [frame.function for frame in path.frames]
    assert len(names) == profiles.DEEPEST + 1
    assert (names[0], names[-1]) == ("step0", "step2999")
    assert profiles.SKIPPED in names


def test_roll_ups_hold_what_samples_did(hub: ServedHub) -> None:
    made = Profiles(ago=3 * 3600)
    post(hub, made.add([SERVE, VIEW], 40 * MS).add([SERVE, SUM], 2 * MS).encode())
    post(hub, Profiles(ago=3 * 3600 - 1).add([SERVE, VIEW], 8 * MS).encode())
    before = nodes(hub.get("profiles/tree", from_="-4h"))
    assert before["serve"] == (50.0, 0.0)
    upkeep = Upkeep(hub.hub.store, hub.settings)
    upkeep.once(time.time())
    assert nodes(hub.get("profiles/tree", from_="-4h")) == before
    assert nodes(hub.get("profiles/tree", from_="-100h")) == before  # of the hours
    assert hub.hub.store.rows("store/progress")[0]["hours"] > 0


def test_a_day_is_read_by_its_whole_hours_and_holds_what_its_minutes_did(hub: ServedHub) -> None:
    for ago, ms in ((86_400 + 180, 1), (86_400 - 180, 2), (43_200, 4), (300, 8)):
        post(hub, Profiles(ago=ago).add([SERVE, VIEW], ms * MS).encode())
    before = nodes(hub.get("profiles/tree", from_="-24h"))
    assert before["serve"] == (14.0, 0.0)
    Upkeep(hub.hub.store, hub.settings).once(time.time())
    assert nodes(hub.get("profiles/tree", from_="-24h")) == before
    assert hub.get("profiles", from_="-24h")["types"][0]["total"] == 14.0
    now = time.time()
    hub.hub.store.cursor().execute(
        "DELETE FROM profile_minutes WHERE minute > ? AND minute < ?", [int(now - 46_800), int(now - 39_600)]
    )
    assert nodes(hub.get("profiles/tree", from_="-24h")) == before  # these minutes are not asked for


def test_what_is_old_is_forgotten_with_its_stacks(hub: ServedHub) -> None:
    post(hub, shop().encode())
    later = time.time() + 400 * 86_400
    Upkeep(hub.hub.store, hub.settings).forget(later, later)
    hub.hub.store.run("forget_unused")
    hub.hub.store.refresh()
    for table in ("profile_samples", "profile_minutes", "profile_hours", "stacks", "stack_nodes", "frames"):
        assert hub.hub.store.cursor().execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
    post(hub, shop().add([SUM], MS).encode())  # what was forgotten is known no more, and stored anew
    assert hub.get("profiles/tree")["now"]["total"] == 101.0


def test_an_archive_holds_profiles(hub: ServedHub, serve_hub: ServeHub, tmp_path: Path) -> None:
    post(hub, shop().encode())
    archive.export(hub.hub.store, tmp_path / "kept", time.time() - 3600, time.time() + 60)
    other = serve_hub()
    archive.import_(other.hub.store, tmp_path / "kept")
    archive.import_(other.hub.store, tmp_path / "kept")
    for from_ in ("-1h", "-3h"):
        assert nodes(other.get("profiles/tree", from_=from_)) == nodes(hub.get("profiles/tree", from_=from_))


def test_a_hub_with_profiles_starts_again(tmp_path: Path) -> None:
    with ServedHub(tmp_path) as hub:
        post(hub, shop().encode())
        before = nodes(hub.get("profiles/tree"))
    with ServedHub(tmp_path) as hub:
        assert nodes(hub.get("profiles/tree")) == before
        post(hub, shop().add([SUM], MS).encode())
        assert nodes(hub.get("profiles/tree"))["total"] == (1.0, 1.0)


def test_wrong_questions_are_refused_with_the_field(known: ServedHub) -> None:
    assert known.refusal("profiles/tree", span_id="ab" * 8) == (400, "bad_request", "span_id")
    assert known.refusal("profiles/tree", type="Wall!")[::2] == (400, "type")
    assert known.refusal("profiles/tree", before="9.9.9") == (404, "not_found", "before")
    assert known.refusal("profiles/export", format="svg")[::2] == (400, "format")
    assert known.client.get("/api/v1/performance/profiles").status_code == 401


def test_beyond_the_limit_stacks_share_one(hub: ServedHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "STACKS", 2)
    made = Profiles()
    for number in range(5):
        made.add([(f"step{number}", "/srv/a.py", 1, 1)], MS)
    assert post(hub, made.encode()).status_code == 200
    found = nodes(hub.get("profiles/tree"))
    assert found.pop(stored.OTHER) == (3.0, 3.0)
    assert list(found.values()) == [(1.0, 1.0)] * 2


def test_a_thread_a_request_is_one_thread_to_filter_by() -> None:
    made = Profiles()
    for number in range(50):
        made.add([VIEW], MS, thread=f"Thread-{number} (process_request_thread)", endpoint="GET /cart")
    (context,) = profiles.decode(made.encode()).contexts.values()
    assert (context.thread, context.endpoint) == ("Thread-N (process_request_thread)", "GET /cart")


def test_tasks_without_end_leave_the_endpoints_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "CONTEXTS", 10)
    made = Profiles()
    for number in range(100):
        made.add([VIEW], MS, task=f"job {number}", endpoint=f"GET /{number % 4}")
    contexts = profiles.decode(made.encode()).contexts.values()
    assert len(contexts) == 14
    assert {one.endpoint for one in contexts if one.task == profiles.OTHER} == {f"GET /{number}" for number in range(4)}
