"""What an assistant reads of an answer: without series for charts and empty fields, in as few words as it takes."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

PROFILES = ["wall", "cpu", "lock", "gil", "alloc"]
DRAWN = ("spark", "series", "heatmap", "histograms", "link", "range")
"""What a chart is made of, and addresses of the page."""
SMALLEST = 0.01  # of a flame graph's whole
FOLD = 3  # so many spans that are alike share a line
DEEPEST = 24
LINES = 400


def lean(data: Any, _arguments: Mapping[str, Any] | None = None) -> Any:
    """`data` without what is empty or drawn, its numbers to four digits."""
    if isinstance(data, dict):
        kept = {key: lean(value) for key, value in data.items() if key not in DRAWN}
        return {key: value for key, value in kept.items() if value not in (None, "", [], {})} or kept
    if isinstance(data, list):
        return [lean(value) for value in data]
    return rounded(data) if isinstance(data, float) else data


def rounded(value: float) -> float | int:
    """A number to four digits; whole where it is, or large: a moment keeps its milliseconds."""
    if value == int(value) and abs(value) < 1e15:
        return int(value)
    return round(value, 3) if abs(value) >= 1000 else float(f"{value:.4g}")


def findings(data: Any, _arguments: Mapping[str, Any]) -> Any:
    """Findings, each with what helps to repair it."""
    wanted = (
        "severity", "kind", "title", "service", "place", "evidence", "impact", "recommendation", "steps", "traces",
        "stack", "confidence", "first_seen", "last_seen",
    )  # fmt: skip
    items = [{key: one[key] for key in wanted if one.get(key)} for one in data["items"]]
    for one in items:
        one["traces"] = one.get("traces", [])[:3]
    return {"findings": lean(items)}


def overview(data: Any, _arguments: Mapping[str, Any]) -> Any:
    """The overview without its series."""
    return lean({key: value for key, value in data.items() if key not in ("endpoints", "processes", "insights")})


def endpoint(data: Any, _arguments: Mapping[str, Any]) -> Any:
    """One endpoint; of its traces the five slowest and the five last failed."""
    told = {**data, "slowest": _brief(data["slowest"]), "errors": _brief(data["errors"])}
    return lean({**told, "queries": data["queries"][:15], "calls": data["calls"][:15]})


def query(data: Any, _arguments: Mapping[str, Any]) -> Any:
    """One statement."""
    return lean({**data, "callers": [], "slowest": _brief(data["slowest"])})


def _brief(traces: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    wanted = ("trace_id", "name", "started", "duration_ms", "status_code", "spans")
    return [{key: one[key] for key in wanted} for one in list(traces)[:5]]


def logs(data: Any, _arguments: Mapping[str, Any]) -> Any:
    """Log records with their time as a person writes it."""
    return lean({**data, "items": [{**one, "time": _moment(one["time"])} for one in data["items"]]})


def comparison(data: Any, arguments: Mapping[str, Any]) -> Any:
    """A comparison, what differs most first."""
    most = int(arguments["limit"])
    telling = [one for one in data["differences"] if one["verdict"] in ("worse", "better")]
    others = [one for one in data["differences"] if one["verdict"] not in ("worse", "better")]
    shown = (telling + others)[:most]
    return lean({**data, "differences": shown, "differences_left_out": len(data["differences"]) - len(shown)})


def hot(data: Any, _arguments: Mapping[str, Any]) -> Any:
    """Lines by what they take."""
    return lean({key: value for key, value in data.items() if key != "functions"})


def flame(data: Any, _arguments: Mapping[str, Any]) -> str:
    """A flame graph as an indented tree."""
    nodes, functions = data["nodes"], data["functions"]
    parents, totals = nodes["parent"], nodes["total"]
    whole = sum(total for parent, total in zip(parents, totals, strict=True) if parent < 0)
    about = f"{data['type']}, {whole:.0f} {data['unit']} in all from {data['now']['samples']} samples"
    if not whole:
        return f"{about}: no profiles in the range; a longer one may have some, or the program sends none"
    below: dict[int, list[int]] = {}
    for place, parent in enumerate(parents):
        below.setdefault(parent, []).append(place)
    lines = [about]

    def add(place: int, depth: int) -> None:
        if totals[place] < whole * SMALLEST or len(lines) > LINES:
            return
        function = functions[nodes["function"][place]]
        own = f", itself {nodes['self'][place] / whole:.0%}" if nodes["self"][place] >= whole * SMALLEST else ""
        at = f"  {function['file']}:{nodes['line'][place] or function['line']}" if function["file"] else ""
        mark = " [own]" if function["origin"] == "own" else ""
        indent = "  " * min(depth, DEEPEST)
        lines.append(f"{indent}{totals[place] / whole:.0%} {function['name']}{at}{mark}{own}")
        for child in sorted(below.get(place, ()), key=lambda one: -totals[one]):
            add(child, depth + 1)

    for root in sorted(below.get(-1, ()), key=lambda one: -totals[one]):
        add(root, 0)
    return "\n".join(lines)


def trace(data: Any, arguments: Mapping[str, Any]) -> object:
    """A trace as an indented tree, or all of it."""
    return lean(data) if arguments.get("format") == "json" else "\n".join(_told(data))


def _told(data: Mapping[str, Any]) -> Iterator[str]:
    about = f"{data['name']}: {data['duration_ms']:.1f} ms, {len(data['spans'])} spans"
    yield f"{about}, {', '.join(data['services'])}, {_moment(data['started'])}"
    if not data["complete"]:
        yield "not complete: a part of it has not arrived, or was not kept"
    yield "begin ms, duration ms, span"
    for number, run in enumerate(_folded(data["spans"])):
        if number == LINES:
            yield "… more spans are not shown; format=json has all"
            break
        yield _line(run)
    if data["left_out"]:
        yield f"{data['left_out']} more spans are not shown"
    for one in data["repeated"]:
        by = f", by {one['caller']}" if one["caller"] else ""
        yield f"repeated {one['times']} times, {one['total_ms']:.1f} ms in all{by}: {one['text'] or one['summary']}"
    for span in data["spans"]:
        for event in span["events"]:
            if event["name"] == "exception":
                told = event["attributes"]
                yield f"exception in {span['name']}: {told.get('exception.type')}: {told.get('exception.message')}"
                yield from _indented(str(told.get("exception.stacktrace", "")), 30)
    for log in data["logs"][:30]:
        yield f"log {log['severity']} {log['scope']}: {log['body']}"


def _line(run: list[Mapping[str, Any]]) -> str:
    span = run[0]
    attributes = span["attributes"]
    text = attributes.get("db.query.text") or attributes.get("url.full") or ""
    times = f" x {len(run)}" if len(run) > 1 else ""
    took = sum(one["duration_ms"] for one in run)
    own = sum(one["self_ms"] for one in run)
    parts = [f"{'  ' * min(span['depth'], DEEPEST)}{span['offset_ms']:.1f} {took:.1f} {span['name']}{times}"]
    if 0.1 <= own < took * 0.999:
        parts.append(f"own {own:.1f}")
    if text:
        parts.append(" ".join(str(text).split())[:300])
    if span["caller"]:
        parts.append(f"at {span['caller']}")
    if span["status"] == "error":
        parts.append(f"FAILED {attributes.get('error.type', '')}".rstrip())
    if span["status_code"]:
        parts.append(f"HTTP {span['status_code']}")
    return ", ".join(parts)


def _folded(spans: Iterable[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Spans in runs that share a line: leaves that follow one another and are alike."""
    every = list(spans)
    parents = {span["parent_id"] for span in every}
    runs: list[list[Mapping[str, Any]]] = []
    for span in every:
        before = runs[-1][0] if runs else None
        keys = ("name", "parent_id", "service", "status")
        alike = before is not None and all(before[key] == span[key] for key in keys)
        if alike and before is not None and not parents & {span["span_id"], before["span_id"]}:
            runs[-1].append(span)
        else:
            runs.append([span])
    return [row for run in runs for row in ([run] if len(run) >= FOLD else [[span] for span in run])]


def _indented(text: str, most: int) -> list[str]:
    return [f"    {line}" for line in text.splitlines()[-most:]]


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")
