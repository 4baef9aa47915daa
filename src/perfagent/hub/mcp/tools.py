"""The tools: each asks one address of the hub's interface, and says what its figures mean and what to do next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from perfagent.hub.mcp import shapes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Argument = dict[str, Any]

INSTRUCTIONS = (
    "What running Python programs did, as perfagent measured it: requests, database statements, outgoing calls, "
    "profiles, logs, and findings with file and line. Read-only. Begin with `findings`: it tells what is wrong, "
    "where in the code, and what to do. Without one that fits: `slow_endpoints`, then `endpoint` for where the time "
    "of one goes, then `search_traces` and `trace` for a single request, `hot_lines` for the code that takes the "
    "CPU. After a change, `compare` tells whether it helped. Durations are in milliseconds (`_ms`), ratios from 0 to "
    "1, moments in seconds since the epoch. `from` and `to` are such moments, or relative as in -15m, -1h, -7d; the "
    "last hour when left out. A long list has `next`: give it as `cursor`, with the same other arguments, for more."
)
SINCE: Argument = {"type": "string", "description": "Begin: -15m, -1h, -7d, or seconds since the epoch; -1h if absent."}
UNTIL: Argument = {"type": "string", "description": "End, in the same forms; now if absent."}
SERVICE: Argument = {"type": "string", "description": "Only this service, by its name as `services` tells it."}
TEXT: Argument = {"type": "string", "description": "Only what has this text in it, in any case."}
CURSOR: Argument = {"type": "string", "description": "`next` of the page before; the other arguments as there."}
TRACE: Argument = {"type": "string", "description": "32 hexadecimal digits, as `search_traces` and `findings` tell it."}
FORMAT: Argument = {
    "type": "string",
    "enum": ["text", "json"],
    "default": "text",
    "description": "text is shorter, json has every field.",
}
RANGE = {"from": SINCE, "to": UNTIL}


def operation(of: str) -> Argument:
    """The argument that names one operation."""
    return {"type": "string", "description": f"`operation` of {of}, a decimal number."}


def limit(default: int, most: int = 50) -> Argument:
    """The argument that bounds a list."""
    about = f"Most items, up to {most}."
    return {"type": "integer", "minimum": 1, "maximum": most, "default": default, "description": about}


def choice(words: list[str], description: str, default: str | None = None) -> Argument:
    """An argument that is one of some words."""
    return {"type": "string", "enum": words, "description": description, **({"default": default} if default else {})}


@dataclass(frozen=True)
class Tool:
    """One tool.

    Args:
        name: as an assistant calls it.
        title: as a person sees it.
        description: what it answers, in which units, and what to do next.
        path: that it asks, below the interface's prefix; `{name}` is an argument.
        arguments: JSON schemas by name.
        required: those that must be given.
        shape: makes what the assistant reads of the answer: what JSON can hold, or a text.
        own: arguments for `shape` alone.
        fixed: parameters of the address that are always the same.
        renamed: parameters of the address that arguments of another name stand for.
    """

    name: str
    title: str
    description: str
    path: str
    arguments: Mapping[str, Argument] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    shape: Callable[[Any, Mapping[str, Any]], object] = shapes.lean
    own: tuple[str, ...] = ()
    fixed: Mapping[str, object] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)

    def declaration(self) -> dict[str, Any]:
        """What `tools/list` says of it."""
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": {
                "type": "object",
                "properties": dict(self.arguments),
                "required": list(self.required),
                "additionalProperties": False,
            },
            "annotations": {
                "title": self.title,
                "readOnlyHint": True,
                "destructiveHint": False,
                "idempotentHint": True,
                "openWorldHint": False,
            },
        }


TOOLS = (
    Tool(
        "findings",
        "What is wrong, where, and what to do",
        "What slows the programs down, fails, or could be better at the end of the range, the most severe first: N+1 "
        "queries, slow statements, missing indexes, blocked event loops, errors, leaks, regressions. Each has "
        "evidence, `place` (file:line function), `steps` to repair it, and `traces` that show it. Next: read the "
        "code at `place`, or `trace` with one of `traces`. An empty list means that nothing stands out.",
        "insights",
        {**RANGE, "service": SERVICE, "severity": choice(["low", "medium", "high", "critical"], "This and worse.")},
        shape=shapes.findings,
    ),
    Tool(
        "services",
        "Which programs are measured",
        "The services that sent something in the range, with their request rate, errors and processes. Next: the "
        "name as `service` of other tools.",
        "services",
        {**RANGE, "limit": limit(30), "cursor": CURSOR},
    ),
    Tool(
        "health",
        "How healthy it all is",
        "A score from 0 to 100 with the reasons for what it lacks, rate, errors and durations of the range beside "
        "the range before, saturation, and what changed with a test against chance. Next: `findings`, or "
        "`slow_endpoints`.",
        "overview",
        {**RANGE, "service": SERVICE},
        shape=shapes.overview,
    ),
    Tool(
        "slow_endpoints",
        "Endpoints by time, errors or calls",
        "The endpoints of the range with requests, errors, p50/p95/p99 and `total_ms`, the time that all their "
        "requests took; `share` is that of all. Sort by total for what to improve first, by p95 for what users feel. "
        "Next: `endpoint` with `operation`.",
        "endpoints",
        {
            **RANGE,
            "service": SERVICE,
            "text": TEXT,
            "limit": limit(15),
            "cursor": CURSOR,
            "sort": choice(["total", "p95", "requests", "errors", "name"], "Most first.", "total"),
        },
        renamed={"text": "q"},
    ),
    Tool(
        "endpoint",
        "Where the time of an endpoint goes",
        "One endpoint: `breakdown`, where the time of a request goes on average (queries, cache, outgoing calls, own "
        "code; these add up to its duration), the statements and calls in it with `calls_per_request` (much more "
        "than 1 is an N+1), its status codes, and its slowest and failed traces. Next: `trace` with one of these, or "
        "`hot_lines` with its name where own code takes the time.",
        "endpoints/{operation}",
        {"operation": operation("`slow_endpoints`"), **RANGE},
        ("operation",),
        shape=shapes.endpoint,
    ),
    Tool(
        "search_traces",
        "Find requests",
        "Requests by what they are and by what any of their spans holds, the latest or the slowest first. Next: "
        "`trace` with `trace_id`.",
        "traces",
        {
            **RANGE,
            "service": SERVICE,
            "route": {"type": "string", "description": "Requests of this name, such as GET /orders, or of this route."},
            "min_ms": {"type": "number", "description": "Requests that took so long or longer."},
            "max_ms": {"type": "number", "description": "Requests that took no longer."},
            "status": choice(["ok", "error"], "Requests that failed, or did not."),
            "code": {"type": "integer", "description": "HTTP status of the answer, such as 500."},
            "attributes": {
                "type": "array",
                "items": {"type": "string"},
                "maxItems": 5,
                "description": "key=value of an attribute of any span, such as db.system.name=postgresql; all on one.",
            },
            "text": TEXT,
            "sort": choice(["recent", "slowest"], "The order.", "recent"),
            "limit": limit(15),
            "cursor": CURSOR,
        },
        renamed={"text": "q", "attributes": "attribute"},
    ),
    Tool(
        "trace",
        "One request, with all that happened in it",
        "The spans of a trace as an indented tree: begin and duration in ms, own time where it matters, statements "
        "without their values, the file and line that ran them, and alike ones folded (x 40 is 40 times: an N+1). "
        "Below it: repeated statements, exceptions, logs. Next: the code at the named lines; `logs` for more of them.",
        "traces/{trace_id}",
        {"trace_id": TRACE, "format": FORMAT},
        ("trace_id",),
        shape=shapes.trace,
        own=("format",),
    ),
    Tool(
        "slow_queries",
        "Database statements by time, calls or rows",
        "The statements of the range, their literals removed: calls, `total_ms`, `share` of all statements' time, "
        "p95, rows a call, `repeated` (most calls within one trace), and `callers`: the lines that run them. Next: "
        "`query` with `operation`; the code of a caller.",
        "queries",
        {
            **RANGE,
            "service": SERVICE,
            "text": TEXT,
            "system": {"type": "string", "description": "Only this database, such as postgresql."},
            "sort": choice(["total", "calls", "p95", "mean", "rows"], "Most first.", "total"),
            "limit": limit(15),
            "cursor": CURSOR,
        },
        renamed={"text": "q"},
    ),
    Tool(
        "query",
        "One database statement",
        "One statement: who runs it (file and line), in which endpoints and how often in a request, and the traces "
        "in which it was slowest.",
        "queries/{operation}",
        {"operation": operation("`slow_queries`"), **RANGE},
        ("operation",),
        shape=shapes.query,
    ),
    Tool(
        "hot_lines",
        "The lines of code that take the time",
        "From the profiler: the lines, or functions, where most time is spent. `self` is in the line itself, `total` "
        "with what it calls, in `unit`. type=wall counts waiting too, cpu does not, lock is waiting for a lock, gil "
        "for the interpreter, alloc bytes allocated. With `before`, both sides are told, made comparable. "
        "Next: the code at the line; `flame_graph` for who calls it.",
        "profiles/lines",
        {
            **RANGE,
            "service": SERVICE,
            "type": choice(shapes.PROFILES, "What is summed.", "cpu"),
            "endpoint": {"type": "string", "description": "Only for this request, by its name such as GET /cart/{id}."},
            "trace_id": {**TRACE, "description": "Only of this trace."},
            "before": {"type": "string", "description": "What to compare with: -2h..-1h, a version, before-start."},
            "sort": choice(["self", "total"], "Most first.", "self"),
            "limit": limit(20),
        },
        shape=shapes.hot,
        renamed={"limit": "most"},
    ),
    Tool(
        "flame_graph",
        "Who calls what takes the time",
        "From the profiler: the stacks of a range as an indented tree, callers above callees, each with its share of "
        "the whole and file:line; what is below one percent is left out. `own` marks the program's own code. "
        "Arguments as for `hot_lines`.",
        "profiles/tree",
        {
            **RANGE,
            "service": SERVICE,
            "type": choice(shapes.PROFILES, "What is summed.", "wall"),
            "endpoint": {"type": "string", "description": "Only for this request, by its name such as GET /cart/{id}."},
            "trace_id": {**TRACE, "description": "Only of this trace."},
        },
        shape=shapes.flame,
        fixed={"most": 1000},
    ),
    Tool(
        "compare",
        "What got slower or better",
        "Two sides compared figure by figure: latencies, memory, CPU, errors, caches, and how often statements run "
        "in a request; `verdict` worse, better, same, unclear or few, `change` as a share of before, with its bounds "
        "and how certain it is. A side is a version (2.4.0), a range (-2h..-1h, `last hour`), an instance, "
        "baseline:NAME, `start` (since the last start) or `before-start`.",
        "compare",
        {
            "before": {"type": "string", "default": "before-start", "description": "The earlier side."},
            "after": {"type": "string", "default": "start", "description": "The later side."},
            "service": SERVICE,
            "tolerance": {"type": "number", "default": 0.1, "description": "The share that does not count, 0 to 10."},
            "limit": limit(25),
        },
        shape=shapes.comparison,
        own=("limit",),
    ),
    Tool(
        "logs",
        "Log records",
        "Log records of the range, the latest first, or those of one trace; secrets are masked where they are written.",
        "logs",
        {
            **RANGE,
            "service": SERVICE,
            "text": TEXT,
            "trace_id": {**TRACE, "description": "Only of this trace."},
            "severity": choice(["debug", "info", "warning", "error", "fatal"], "This and above."),
            "limit": limit(20),
            "cursor": CURSOR,
        },
        renamed={"text": "q"},
        shape=shapes.logs,
    ),
    Tool(
        "likely_causes",
        "What is likely behind what is wrong now",
        "Where something is wrong in the last minute of the range: the likely causes in their order, with the "
        "evidence for each. Empty where nothing is wrong.",
        "causes",
        {**RANGE, "service": SERVICE},
    ),
)
"""In the order in which an assistant reads them."""
