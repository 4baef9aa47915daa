"""The page of the REST interface, docs/reference/rest.md, made from the OpenAPI that the hub answers with."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from textwrap import fill
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from perfagent import settings
from perfagent.hub.access import ROLES, Access
from perfagent.hub.api import app, live
from perfagent.hub.api.errors import STATUSES
from perfagent.hub.api.limits import Rates
from perfagent.hub.api.openapi import METHODS
from perfagent.hub.api.security import ADMIN, PREFIX, needed
from perfagent.hub.control.commands import Commands
from perfagent.hub.hub import Hub
from perfagent.hub.store.intake import Intake
from tools.shapes import Shapes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfagent.hub.store.store import Store
    from tools.shapes import Schema

RANGE, PAGES = ("from", "to", "hours"), ("limit", "cursor")
SHARED = ("service", *RANGE, *PAGES)
"""Parameters that are described once, for most routes take them."""
LARGEST = 1e15  # bounds beyond it are those of the number's type, and tell nobody anything

HEAD = """\
# The REST interface of the hub

{description}

```sh
HUB=$(perfagent hub --status --output json | python -c 'import json, sys; print(json.load(sys.stdin)["address"])')
curl -sf -H "Authorization: Bearer $(perfagent hub token)" "$HUB{prefix}/services?hours=24"
```

Addresses below begin with `{prefix}/` unless they begin with `/`. In parentheses stands the least role
that may ask ({roles}), or `open`. The page's cookie is an admin's. Without a
token or a cookie the answer is 401, with too little of a role 403. `perfagent hub token --role ROLE` prints a token.

Each example is the `data` of an answer, or one of its `items`, shortened and with made-up values; a name such as
`{{Endpoint}}` stands for what is shown under that name elsewhere. `/openapi.json` says what every field means.

Telemetry has addresses of its own: [how to send from anywhere](../how-to/send-from-anywhere.md).

This page is made from the code by `python -m tools.reference`.

## What many routes take

| parameter | accepted | default | what it does |
|---|---|---|---|
{shared}

A parameter that a route does not know is refused, so that a typing error does not go unseen.

## What is refused

| status | `code` | why |
|---|---|---|
{statuses}

A parameter or a field that is wrong has a code that says how, such as `out_of_range`, `wrong_type`, `missing`,
`unknown_parameter` and `unknown_field`, and `field` names it. Each client, known by its address, may ask {reads} times
a minute, change something {changes} times, show a wrong token {failures} times, and open {opened} streams; {streams}
streams of all clients may be open at once.
"""


def page() -> str:
    """The page."""
    return Page(_description()).text()


def _description() -> Schema:
    """The OpenAPI of a hub that holds nothing, for it is made of the code alone."""
    store = cast("Store", SimpleNamespace())
    hub = Hub(
        settings=settings.Settings({}, "/nonexistent"),
        directory=Path("/nonexistent"),
        address="http://127.0.0.1:4318",
        store=store,
        intake=Intake(store, 1),
        access=Access(bytes(32)),
        commands=Commands(),
    )
    return cast("Schema", app.build(hub).openapi())


def _admins() -> Iterator[tuple[str, str]]:
    """Method and path of what asks for an admin."""
    for subject in app.SUBJECTS:
        for route in import_module(f"perfagent.hub.api.{subject}").router.routes:
            if any(one.dependency is ADMIN.dependency for one in route.dependencies):
                yield from ((method, f"{PREFIX}{route.path}") for method in route.methods)


class Page:
    """The page of a description.

    Args:
        described: an OpenAPI.
    """

    def __init__(self, described: Schema) -> None:
        self.described = described
        self.routes = [
            (path, method.upper(), methods[method])
            for path, methods in described["paths"].items()
            for method in METHODS
            if method in methods
        ]
        self.admins = set(_admins())
        schemas = described.get("components", {}).get("schemas", {})
        self.shapes = Shapes(schemas, set())
        known = {title for *_, operation in self.routes if (title := self._answers(operation)[2])}
        self.shapes = Shapes(schemas, known)

    def text(self) -> str:
        """The whole of it."""
        shared = {one["name"]: one for *_, operation in self.routes for one in operation.get("parameters", ())}
        rates = Rates()
        kinds = {"reads": "reads", "changes": "changes", "failures": "failures", "opened": "streams"}
        parts = [
            HEAD.format(
                description=self.described["info"]["description"],
                prefix=PREFIX,
                roles=", ".join(f"`{role}`" for role in ROLES),
                shared="\n".join(self._parameter(shared[name]) for name in SHARED),
                statuses="\n".join(f"| {status} | `{code}` | {why} |" for status, (code, why) in STATUSES.items()),
                streams=live.MOST,
                **{name: f"{int(getattr(rates, kind).partition('/')[0]):,}" for name, kind in kinds.items()},
            )
        ]
        for tag in self.described["tags"]:
            parts.append(f"## {tag['name'].capitalize()}\n\n{tag['description']}\n")
            parts += [self._route(*route) for route in self.routes if tag["name"] in route[2]["tags"]]
        return "\n".join(parts)

    def _route(self, path: str, method: str, operation: Schema) -> str:
        role = "admin" if (method, path) in self.admins else needed(method, path, beyond=False)
        told = _filled(f"{operation['description']} ({role or 'open'})")
        parts = [f"### {method} {path.removeprefix(f'{PREFIX}/')}\n", told]
        parameters = operation.get("parameters", [])
        own = [self._parameter(parameter) for parameter in parameters if parameter["name"] not in SHARED]
        if own:
            parts.append(_table("parameter", own))
        if common := _common({parameter["name"] for parameter in parameters}):
            parts.append(f"Takes {'also ' if own else ''}{common}.\n")
        if body := operation.get("requestBody"):
            parts.append(self._body(body))
        parts.append(self._answer(operation))
        return "\n".join(parts)

    def _parameter(self, parameter: Schema) -> str:
        schema = {"description": "", **parameter, **parameter["schema"]}
        return self._row(parameter["name"], schema, parameter["required"])

    def _row(self, name: str, schema: Schema, required: bool) -> str:
        default = schema.get("default")
        shown = "needed" if required else "none" if default in (None, "", [], {}) else f"`{json.dumps(default)}`"
        text = schema.get("description") or self.shapes.plain(schema).get("description") or ""
        cells = (f"`{name}`", self._accepted(schema), shown.replace('"', ""), _cell(text))
        return f"| {' | '.join(cells)} |"

    def _accepted(self, schema: Schema) -> str:
        """What a value may be, in a few words."""
        schema = self.shapes.plain(schema)
        kind = schema.get("type", "")
        if "enum" in schema or "const" in schema:
            return ", ".join(f"`{value}`" for value in schema.get("enum") or [schema["const"]] if value != "")
        if kind in ("integer", "number"):
            return ("whole number" if kind == "integer" else "number") + _bounds(schema)
        if kind == "array":
            often = f", {schema['maxItems']} at most" if "maxItems" in schema else ""
            return f"list of {self._accepted(schema['items'])}{often}"
        longest = schema.get("maxLength", LARGEST)
        if kind == "string" and longest <= 1000:
            return f"text, {longest} characters"
        return {"boolean": "`true`, `false`", "object": "object", "string": "text"}.get(kind, "anything")

    def _body(self, body: Schema) -> str:
        (schema,) = (content["schema"] for content in body["content"].values())
        forms = list(self._forms(schema))
        lead = f"{body['description']} " if "description" in body else ""
        return f"{lead}The body, JSON:\n\n{_table('field', list(self._fields(forms)))}"

    def _forms(self, schema: Schema) -> Iterator[Schema]:
        """The objects that a body may be: the alternatives, and the items of a list."""
        if "$ref" in schema:
            schema = self.shapes.plain(schema)
        choices = schema.get("oneOf") or schema.get("anyOf")
        if choices:
            for one in choices:
                yield from self._forms(one)
        elif schema.get("type") == "array":
            yield from self._forms(schema["items"])
        elif schema.get("properties"):
            yield schema

    def _fields(self, forms: list[Schema], before: str = "") -> Iterator[str]:
        """Rows for each field of the forms that a body may have."""
        names = list(dict.fromkeys(name for form in forms for name in form["properties"]))
        for name in names:
            found = [(form, form["properties"][name]) for form in forms if name in form["properties"]]
            fields = [field for _form, field in found]
            words = [word for field in fields if "enum" in field or "const" in field for word in _words(field)]
            if len(words) > 1 and len(fields) > 1:
                yield self._row(before + name, {"enum": list(dict.fromkeys(words)), **_told(fields[0])}, True)
                continue
            if all("maximum" in field for field in fields):  # other bounds for other forms
                fields = [{**fields[0], "maximum": max(field["maximum"] for field in fields)}]
            distinct = {self._accepted(field): (form, field) for form, field in _with_forms(found, fields)}
            for form, field in distinct.values():
                label = f"{before}{name}" + (f"` of `{_first(form)}" if len(distinct) > 1 and _first(form) else "")
                yield self._row(label, field, name in form.get("required", ()))
                plain = self.shapes.plain(field)
                if plain.get("type") == "array" and (inner := list(self._forms(plain["items"]))):
                    yield from self._fields(inner, f"{before}{name}[].")

    def _answer(self, operation: Schema) -> str:
        status, response = _success(operation)
        lead = f"Answers with {status}. " if status != "200" else ""
        stream = response.get("content", {}).get("text/event-stream")
        if stream is not None:
            shapes = Shapes(stream["schema"].get("$defs", {}), set())
            return f"{_filled(response['description'])}\n{_block(shapes.drawn(stream['schema']))}"
        kind, schema, title = self._answers(operation)
        if kind == "text":
            return f"{lead}The answer is text.\n"
        items = f"Each of `items`{f', `{{{title}}}`' if title else ''}:"
        told = {"items": items, "data": "`data`:", "bare": "The answer:"}
        also = " and ".join(name for name in response["content"] if name != "application/json")
        return f"{lead}{told[kind]}\n\n{_block(self.shapes.drawn(schema))}" + (f"\nOr {also}.\n" if also else "")

    def _answers(self, operation: Schema) -> tuple[str, Schema, str]:
        """What an answer is (items, data, bare or text), its schema, and the name of its items."""
        content = _success(operation)[1].get("content", {})
        if "application/json" not in content:
            return "text", {}, ""
        schema = self.shapes.plain(content["application/json"]["schema"])
        if schema == {"type": "object"}:
            return "text", {}, ""  # a file, of one format or another
        if "data" not in schema.get("properties", {}):
            return "bare", schema, ""
        data = self.shapes.plain(schema["properties"]["data"])
        inner = data.get("properties", {})
        if "items" in inner and set(inner) <= {"items", "next"}:
            item = inner["items"]["items"]
            return "items", item, str(self.shapes.plain(item).get("title", ""))
        return "data", data, ""


def _with_forms(found: list[tuple[Schema, Schema]], fields: list[Schema]) -> list[tuple[Schema, Schema]]:
    """The forms with their fields, or the first form with the one field that stands for all."""
    return found if len(fields) == len(found) else [(found[0][0], fields[0])]


def _success(operation: Schema) -> tuple[str, Schema]:
    return next((status, response) for status, response in operation["responses"].items() if status.startswith("2"))


def _words(field: Schema) -> list[Any]:
    return list(field.get("enum") or [field["const"]])


def _told(field: Schema) -> Schema:
    return {"description": field.get("description", "")}


def _first(form: Schema) -> str:
    """The word by which a form is told from the others."""
    for field in form["properties"].values():
        if "const" in field:
            return str(field["const"])
    return ""


def _common(names: set[str]) -> str:
    words = ["`service`"] if "service" in names else []
    words += ["a range"] if names.issuperset(RANGE) else ["`hours`"] if "hours" in names else []
    words += ["a page"] if names.issuperset(PAGES) else []
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _bounds(schema: Schema) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is None:
        return ""
    return f", {least:,.10g} or more" if most is None or most > LARGEST else f", {least:,.10g} to {most:,.10g}"


def _table(head: str, rows: list[str]) -> str:
    return f"| {head} | accepted | default | what it is |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


def _filled(text: str) -> str:
    return fill(" ".join(text.split()), 120, break_long_words=False, break_on_hyphens=False) + "\n"


def _block(text: str) -> str:
    return f"```text\n{text}\n```\n"
