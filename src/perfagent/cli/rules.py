"""`perfagent rules`: Prometheus' alert and recording rules from the hub's thresholds and the declared objectives."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfagent.cli import arguments, output
from perfagent.hub.analyse import thresholds
from perfagent.hub.conditions import rules as own_rules
from perfagent.hub.rules import alerts, burn, export, objectives
from perfagent.hub.rules.rule import document
from perfagent.runtime.metric import SECONDS
from perfagent.settings import Settings, file

if TYPE_CHECKING:
    from argparse import Namespace

    from perfagent.hub.conditions.rule import Rule
    from perfagent.hub.rules.rule import Rule as Exported

STALE, WRONG = 1, 2  # exit statuses
EXAMPLES = """\
examples:
  perfagent rules export --directory rules          # then `rule_files: [rules/*.yml]` in prometheus.yml
  perfagent rules export --directory rules --check  # in CI: exits with 1 where the files are not current
  perfagent rules export                            # all in one file, on standard output
  perfagent rules list --output json
  perfagent rules test --help                       # how often rules would have fired, from a hub's past

limits:      PERFAGENT_ALERT_THRESHOLDS, or [alert_thresholds.NAME] in perfagent.toml
objectives:  [[slo]] in perfagent.toml, or PERFAGENT_SLO

exit status: 0 fine, 1 files differ, 2 wrong words or a declaration that is off
"""


class Wrong(Exception):  # noqa: N818
    """What cannot be made sense of; the text is for a person."""


def main(words: list[str]) -> int:
    """Exports, lists or tests rules; returns the exit status."""
    if words[:1] == ["test"]:
        from perfagent.cli import rules_test

        return rules_test.main(words[1:])
    parser = arguments.parser(
        "rules",
        description="Makes Prometheus' rules from the same definitions as the hub's alerts; needs no hub.",
        epilog=EXAMPLES,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="export | list | test")
    exporting = arguments.action(actions, "export", "write the files", EXAMPLES)
    exporting.add_argument("--directory", type=Path, help="where to; standard output when left out")
    exporting.add_argument("--check", action="store_true", help="write nothing; tell which files are not current")
    listing = arguments.action(actions, "list", "show names, limits and expressions", EXAMPLES)
    listing.add_argument("--output", choices=("table", "json"), default="table", help="json is for machines")
    actions.add_parser("test", help="how often rules would have fired, from a hub's past", add_help=False)
    for action in (exporting, listing):
        action.add_argument("--project", default=".", help="folder of perfagent.toml or pyproject.toml (default: here)")
        places = alerts.Places()
        action.add_argument("--runbooks", default=places.runbooks, help=f"where they are (default: {places.runbooks})")
        action.add_argument("--page", default=places.page, help=f"what alerts lead to (default: {places.page})")
    asked = parser.parse_args(words)
    if asked.action == "export" and asked.check and asked.directory is None:
        parser.error("--check needs --directory, the folder whose files are looked at")
    return _run(asked)


def _run(asked: Namespace) -> int:
    try:
        return _export(asked) if asked.action == "export" else _list(asked)
    except Wrong as error:  # may show an example of several lines
        print(f"perfagent: {error}", file=sys.stderr)
        return WRONG


Declared = tuple[thresholds.Thresholds, list[objectives.Objective], alerts.Places, "list[Rule]"]


def _declared(asked: Namespace) -> Declared:
    """Limits, objectives, places and rules, from the settings and the words of the command."""
    settings = Settings(directory=asked.project)
    problems: list[str] = []
    content, path = file.document(asked.project, problems.append)
    try:
        limits = thresholds.changed(thresholds.DEFAULTS, thresholds.parse(settings.hub_thresholds))
    except ValueError as error:
        raise Wrong(f"PERFAGENT_ALERT_THRESHOLDS: {error}") from None
    try:
        declared = objectives.read(content, SECONDS)
    except objectives.BadObjective as error:
        raise Wrong(f"{path}: {error}") from None
    declared += _quick(settings, {one.name for one in declared})
    tables = content.get("rule", [])
    told = [(table, path) for table in tables if isinstance(table, dict)] if isinstance(tables, list) else []
    rules = [kept.rule for kept in own_rules.declared(told, problems).values()]
    places = alerts.Places(asked.runbooks.rstrip("/"), asked.page.rstrip("/"), settings.namespace)
    if problems or settings.problems:  # the second are told already
        raise Wrong(problems[0] if problems else "nothing was written; correct that first")
    return limits, declared, places, rules


def _quick(settings: Settings, taken: set[str]) -> list[objectives.Objective]:
    """The objectives of PERFAGENT_SLO; those of the file win by their name."""
    if not settings.environ.get(objectives.SETTING):
        return []  # the file's key `slo` is the tables, which are read already
    try:
        found = objectives.read({"slo": objectives.setting(settings.slo)}, SECONDS)
    except objectives.BadObjective as error:
        raise Wrong(f"{objectives.SETTING}: {error}") from None
    return [one for one in found if one.name not in taken]


def _export(asked: Namespace) -> int:
    limits, declared, places, rules = _declared(asked)
    problems: list[str] = []
    made = export.groups(limits, declared, places, rules, problems)
    for sentence in [*burn.impossible(declared), *problems]:
        print(f"perfagent: {sentence}", file=sys.stderr)
    if asked.directory is None:
        print(document([group for groups in made.values() for group in groups]), end="")
        return 0
    texts = export.contents(made)
    if not asked.check:
        changed = export.write(asked.directory, texts)
        count = sum(len(group.rules) for groups in made.values() for group in groups)
        print(f"{count} rules in {len(texts)} files in {asked.directory}; written anew: {', '.join(changed) or 'none'}")
        return 0
    stale = export.differing(asked.directory, texts)
    if stale:
        told = f"{asked.directory} is not current ({', '.join(stale)}): run the same command without --check"
        print(f"perfagent: {told}", file=sys.stderr)
    return STALE if stale else 0


def _list(asked: Namespace) -> int:
    made = export.groups(*_declared(asked))
    rows = [_row(name, rule) for name, groups in made.items() for group in groups for rule in group.rules]
    if asked.output == "json":
        output.show_json({"rules": rows})
        return 0
    table = output.Table(
        [
            output.Column("rule"),
            output.Column("severity"),
            output.Column("for", right=True),
            output.Column("file", drop=2),
            output.Column("threshold", drop=1),
            output.Column("expression", wide=True),
        ]
    )
    for row in rows:
        cells = [row[key] or "" for key in ("name", "severity", "for", "file", "threshold")]
        table.rows.append((*cells, " ".join(row["expression"].split())))
    output.show([table])
    return 0


def _row(name: str, rule: Exported) -> dict[str, Any]:
    return {
        "name": rule.name,
        "kind": "alert" if rule.annotations else "recording",
        "file": name,
        "severity": rule.labels.get("severity"),
        "threshold": rule.labels.get("threshold"),
        "slo": rule.labels.get("slo"),
        "for": rule.lasting if rule.annotations else None,
        "keep_firing_for": rule.keeping or None,
        "expression": rule.expression,
    }
