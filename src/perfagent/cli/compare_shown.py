"""A comparison for people: as a table in a terminal, and as Markdown for a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfagent.cli import figures, output
from perfagent.cli.output import Column, Mark, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfagent.cli.output import Part

STYLES = {"worse": "bad", "better": "good", "unclear": "warn", "same": "dim", "few": "dim"}
MANY = 100  # times: a larger bound only says that the other side hardly has one
Found = dict[str, Any]


def table(found: Found, most: int, aspects: Sequence[str]) -> list[Part]:
    """What a terminal shows.

    Args:
        found: the answer of GET compare.
        most: rows.
        aspects: what makes it fail.
    """
    parts: list[Part] = [_verdict(found, aspects), _sides(found)]
    chosen = _chosen(found, most)
    if chosen:
        rows = Table(
            [
                Column("what", wide=True),
                Column("figure"),
                Column("before", right=True),
                Column("after", right=True),
                Column("change", right=True),
                Column("19 of 20 times", right=True, drop=2),
                Column("certainty", right=True, drop=1),
                Column(""),
                Column("service", wide=True, drop=3),
            ]
        )
        for one in chosen:
            rows.rows.append(
                (
                    _what(one),
                    one["figure"],
                    value(one["before"], one["unit"]),
                    value(one["after"], one["unit"]),
                    change(one["change"], one["unit"]),
                    _interval(one),
                    certainty(one["certainty"]),
                    Mark(_word(one["verdict"]), STYLES[one["verdict"]]),
                    one["service"],
                )
            )
        parts += ["", rows]
    parts += ["", *(Mark(text, "dim") for text in _notes(found, len(chosen)))]
    return parts


def markdown(found: Found, most: int, aspects: Sequence[str]) -> str:
    """What a pull request shows."""
    icon = {"worse": "❌", "better": "✅", "same": "✅", "nothing": "⚠️"}[found["verdict"]]
    verdict = _verdict(found, aspects)
    lines = [f"### {icon} {_escaped(verdict.text)}", "", _escaped(_sides(found)), ""]
    chosen = _chosen(found, most)
    if chosen:
        lines += ["| | figure | before | after | change | certainty | |", "|---|---|--:|--:|--:|--:|---|"]
        for one in chosen:
            shown = f"{change(one['change'], one['unit'])} ({_interval(one)})" if one["change"] is not None else "-"
            lines.append(
                f"| {_code(_what(one))} | {one['figure']} | {value(one['before'], one['unit'])} | "
                f"{value(one['after'], one['unit'])} | {shown} | {certainty(one['certainty'])} | "
                f"{'**worse**' if one['verdict'] == 'worse' else _word(one['verdict'])} |"
            )
        lines.append("")
    lines += [f"<sub>{_escaped(text)}</sub>  " for text in _notes(found, len(chosen))]
    return "\n".join(lines) + "\n"


def _verdict(found: Found, aspects: Sequence[str]) -> Mark:
    most = f"more than {found['tolerance']:.0%}"
    what = " or ".join([", ".join(aspects[:-1]), aspects[-1]] if len(aspects) > 1 else aspects)
    if found["verdict"] == "worse":
        worst = next(one for one in found["differences"] if one["verdict"] == "worse" and one["aspect"] in aspects)
        others = found["failing"] - 1
        more = "" if not others else f", and {others} more {'figure' if others == 1 else 'figures'}"
        text = f"Worse: {_what(worst)} {worst['figure']} {change(worst['change'], worst['unit'])}{more}"
        return Mark(text, "bad")
    if found["verdict"] == "nothing":
        return Mark("Nothing can be compared: no figure has enough data on both sides", "warn")
    if found["verdict"] == "better":
        return Mark(f"Better in {what}, and nothing of it worse by {most}", "good")
    return Mark(f"No difference in {what} by {most} is certain", "good")


def _sides(found: Found) -> str:
    told = []
    for word in ("before", "after"):
        side = found[word]
        parts = [
            figures.clock(side["begin"]) if side["begin"] > 1e6 else "",
            figures.lasting(side["end"] - side["begin"]),
            f"{figures.count(side['requests'])} requests" if side["requests"] else "",
            ", ".join(filter(None, side["services"])),
        ]
        told.append(f"{word}: {side['label']} ({', '.join(filter(None, parts))})")
    return "; ".join(told)


def _chosen(found: Found, most: int) -> list[Found]:
    """What is worth a row: what differs first, then the largest of the rest."""
    shown: list[Found] = found["differences"][:most]
    return shown


def _notes(found: Found, shown: int) -> list[str]:
    notes = []
    whole = len(found["differences"])
    if whole > shown:
        notes.append(f"{whole - shown} more with --most")
    if found["tested"]:
        notes.append(
            f"{found['tested']} figures were tested; of differences that are told, at most "
            f"{found['false_discovery_rate']:.0%} are chance (Benjamini-Hochberg; errors from blocks of "
            "time, with their correlation)"
        )
    for key, text in (("new", "only after"), ("gone", "only before")):
        names = [_what(one) for one in found[key]]
        if names:
            rest = f" and {len(names) - 5} more" if len(names) > 5 else ""
            notes.append(f"{text}: {', '.join(output.cut(name, 60) for name in names[:5])}{rest}")
    return [*notes, *found["notes"]]


def _what(one: Found) -> str:
    if one["kind"] in ("endpoint", "query") and one["name"]:
        return output.shorten(one["name"], 80)
    return f"{one['kind']} {one['name']}".strip()


def _word(verdict: str) -> str:
    return {"few": "too little data", "unclear": "unclear"}.get(verdict, verdict)


def value(found: float | None, unit: str) -> str:
    """A figure in its unit."""
    if found is None:
        return figures.NONE
    if unit == "By":
        return figures.size(found)
    if unit == "ratio":
        return figures.percent(found)
    if unit == "%":
        return f"{found:.0f}%"
    if unit in ("ms", "ms/request"):
        return figures.milliseconds(found)
    return f"{found:.2f}"


def change(found: float | None, unit: str) -> str:
    """A change with its sign: in per cent, or in points of a share."""
    if found is None:
        return figures.NONE
    if unit == "ratio":
        return f"{found * 100:+.1f} points"
    if found >= MANY:
        return f"+{MANY} times and more"
    return f"{found:+.0%}" if abs(found) >= 0.1 else f"{found:+.1%}"


def _interval(one: Found) -> str:
    if one["low"] is None or one["high"] is None:
        return figures.NONE
    return f"{change(one['low'], one['unit'])} to {change(one['high'], one['unit'])}"


def certainty(found: float | None) -> str:
    """How sure a difference is."""
    if found is None:
        return figures.NONE
    return ">99.9%" if found > 0.999 else f"{found:.1%}" if found > 0.9 else f"{found:.0%}"


def _code(text: str) -> str:
    return "`" + text.replace("`", "'").replace("|", "\\|") + "`"


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;").replace("|", "\\|")
