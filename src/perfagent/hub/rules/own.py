"""Rules of one's own as alerts of Prometheus, as far as they have a counterpart there."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from perfagent.hub.analyse.thresholds import DEFAULTS
from perfagent.hub.expressions import promql, tree
from perfagent.hub.expressions.errors import BadExpression
from perfagent.hub.expressions.promql import Exposed
from perfagent.hub.expressions.settling import COUNTER, GAUGE, HISTOGRAM, LEVEL, Metric, settle
from perfagent.hub.expressions.tree import Comparison, Label, Logic, Number, Text, Texts, Value
from perfagent.hub.remote import names
from perfagent.hub.rules.alerts import SCALES, written
from perfagent.hub.rules.figures import FIGURES
from perfagent.hub.rules.promql import nested
from perfagent.hub.rules.rule import Group
from perfagent.hub.rules.rule import Rule as Exported

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfagent.hub.conditions.rule import Rule
    from perfagent.hub.expressions.tree import Node
    from perfagent.hub.rules.alerts import Places

FILE = "own_alerts"
KINDS = {names.GAUGE: GAUGE, names.LEVEL: LEVEL, names.COUNTER: COUNTER, names.HISTOGRAM: HISTOGRAM}
UNITS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds", "min": "minutes",
         "h": "hours", "d": "days", "By": "bytes", "kBy": "kilobytes", "MBy": "megabytes", "GBy": "gigabytes",
         "KiBy": "kibibytes", "MiBy": "mebibytes", "GiBy": "gibibytes", "%": "percent", "Cel": "celsius"}  # fmt: skip
"""How the Collector and Prometheus write units (OpenTelemetry specification, "Prometheus and OpenMetrics")."""
VALUE = "{{ $value | humanize }}"


def alerts(rules: Iterable[Rule], places: Places, problems: list[str]) -> list[Group]:
    """The alerts of all rules that are enabled.

    Args:
        rules: of one's own.
        places: what alerts lead to.
        problems: takes a sentence for each rule that Prometheus cannot have.
    """
    found = []
    for one in sorted(rules, key=lambda rule: rule.name):
        if not one.enabled:
            continue
        try:
            found.append(_alert(one, places))
        except BadExpression as error:
            problems.append(f"rule {one.name} is left out: {error}")
    return [Group(FILE, found)] if found else []


def _alert(rule: Rule, places: Places) -> Exported:
    labels = {"severity": rule.severity, "rule": rule.name}
    told = {
        "summary": _message(rule),
        "description": rule.advice or f"The condition is: {' '.join(rule.expression.text.split())}",
        "dashboard": f"{places.page}/#/overview?service={{{{ $labels.service_name }}}}",
    }
    if rule.runbook:
        told["runbook_url"] = rule.runbook
    return Exported(
        rule.name,
        expression(rule, places.namespace),
        labels,
        {key: text.replace("\n", " ") for key, text in told.items()},
        rule.lasting,
        f"{rule.cooldown_minutes}m" if rule.cooldown_minutes else "",
    )


def _message(rule: Rule) -> str:
    if not rule.message:
        return f"{rule.name}: {VALUE} in {{{{ $labels.service_name }}}}"
    known = {"value": VALUE, "worst": VALUE, "service": "{{ $labels.service_name }}", "name": rule.name,
             "severity": rule.severity, "for": rule.lasting, "limit": "its limit", "subject": ""}  # fmt: skip

    def place(found: re.Match[str]) -> str:
        key = tree.ALIASES.get(found[1], found[1])
        return known.get(found[1]) or ("" if found[1] in known else f"{{{{ $labels.{promql.label(key)} }}}}")

    return re.sub(r"\{([^{}]*)\}", place, rule.message)


def expression(rule: Rule, namespace: str) -> str:
    """The PromQL of a rule; raises BadExpression where there is none."""
    if rule.expression.about_samples:
        return _of_sample(rule, namespace)
    return promql.write(rule.expression, lambda name: exposed(name, rule), rule.services)


def exposed(name: str, rule: Rule) -> Exposed | None:
    """What Prometheus calls a metric, from what is known of perfagent's own, or what the rule says of it."""
    if name in rule.metrics:
        metric = rule.metrics[name]
        base = re.sub(r"[^a-zA-Z0-9_:]+", "_", name.removesuffix("_total")).strip("_")
        unit = "ratio" if metric.unit == "1" and metric.kind in (GAUGE, LEVEL) else UNITS.get(metric.unit, "")
        if unit and not base.endswith(f"_{unit}"):
            base = f"{base}_{unit}"
        return Exposed(base, metric, f"{base}_total")
    for base, known in names.KNOWN.items():
        if known.name == name:
            return Exposed(base, Metric(KINDS[known.kind], known.unit), f"{base}_total")
    return None


# Rules about samples: name and value


def _of_sample(rule: Rule, namespace: str) -> str:
    """The PromQL of a rule about the figure of one threshold."""
    settled = settle(rule.expression, lambda one: Metric(GAUGE, ""), _unit(rule.expression.root))
    told = _Told(rule.expression.text, list(_exact(rule.services, rule.expression.text)))
    for one in _parts(settled.root):
        told.take(one)
    if told.name not in DEFAULTS or not told.compared:
        raise told.refuse(
            f"{told.name or 'a name that is not told by =='} is no figure of a threshold, which alone can be told by "
            "name and value in Prometheus; take avg(METRIC) in place of them",
            settled.root,
        )
    (figure,) = (one for one in FIGURES if one.threshold == told.name)
    scale = SCALES[DEFAULTS[told.name].unit]
    made = nested(figure.expression)
    for sign, value in told.compared:
        made = f"{made} {sign} {value / scale:.12g}"
    if figure.enough:
        made += f"\nand on ({figure.by}) {nested(figure.enough)}"
    if told.services:
        chosen = (f'label_replace(vector(1), "service_name", {promql.quoted(one)}, "", "")' for one in told.services)
        made += "\nand on (service_name) " + nested("\nor ".join(chosen))
    return written(made, rule.minutes + 1, namespace)


@dataclass(slots=True)
class _Told:
    """What the parts of such a rule say.

    Args:
        text: of the expression.
        services: that it is about.
        name: of the figure.
        compared: signs and limits.
    """

    text: str
    services: list[str]
    name: str = ""
    compared: list[tuple[str, float]] = field(default_factory=list)

    def take(self, one: Node) -> None:
        """Takes one part in; raises BadExpression where it has no counterpart."""
        if not isinstance(one, Comparison):
            raise self.refuse("of name and value only comparisons that are joined by and have a counterpart", one)
        left: Node = one.left
        right, sign = one.right, one.sign
        if isinstance(left, Number):
            left, right, sign = right, left, promql.FLIPPED.get(sign, sign)
        if isinstance(left, Value) and isinstance(right, Number):
            self.compared.append((sign, right.value))
        elif isinstance(left, Label) and isinstance(right, (Text, Texts)) and sign in ("==", "in"):
            self._label(left, right.values if isinstance(right, Texts) else (right.value,), one)
        else:
            raise self.refuse("this part of a condition about name and value has no counterpart", one)

    def _label(self, label: Label, texts: tuple[str, ...], one: Comparison) -> None:
        if label.key == tree.NAME and len(texts) == 1 and not self.name:
            (self.name,) = texts
        elif label.key == tree.SERVICE:
            self.services = [text for text in texts if not self.services or text in self.services]
        else:
            raise self.refuse(f"{label.key} has no counterpart beside name and value", one)

    def refuse(self, message: str, node: Node) -> BadExpression:
        """The error about a part."""
        return BadExpression(message, self.text, node.at)


def _unit(root: Node) -> str:
    for one in tree.walk(root):
        if isinstance(one, Comparison) and isinstance(one.left, Label) and isinstance(one.right, Text):
            known = DEFAULTS.get(one.right.value) if one.left.key == tree.NAME else None
            if known is not None:
                return known.unit
    return ""


def _parts(node: Node) -> list[Node]:
    if isinstance(node, Logic) and node.word == "and":
        return [*_parts(node.left), *_parts(node.right)]
    return [node]


def _exact(services: Sequence[str], text: str) -> Sequence[str]:
    for one in services:
        if re.search(r"[*?[]", one):
            raise BadExpression(f"the pattern {one} of services has no counterpart here; name each service", text, 0)
    return services
