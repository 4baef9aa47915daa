"""Examples of answers, drawn from the schemas of an OpenAPI: shortened JSON with … for what is left out."""

from __future__ import annotations

import json
from typing import Any

Schema = dict[str, Any]

WIDTH = 112  # columns
INNER = 8  # keys that are shown of an object within an object
CUT = 60  # characters that are shown of a text or of a list
GUESSES: Schema = {
    "from": 1788996400.0, "to": 1789000000.0, "step": 60, "time": [1789000000, 1789000060],
    "established": 1788990000.0, "expires": 1789594800.0, "since": 1789000000.0, "until": 1789000600.0,
}  # fmt: skip
"""Values of names that have no example in any schema."""
ALIKE = ("service", "instance", "operation", "name", "id", "trace_id", "span_id")
"""Texts that mean the same wherever they are, so that another schema's example will do."""


class Left(str):
    """Stands for what is left out."""

    __slots__ = ()


class Shapes:
    """What the schemas of a description look like.

    Args:
        schemas: by name, as in `components`.
        known: names of schemas that are shown elsewhere, which a name therefore stands for.
    """

    def __init__(self, schemas: Schema, known: set[str]) -> None:
        self._schemas = schemas
        self._known = known
        self._by_name = dict(GUESSES)
        for _title, schema in sorted(schemas.items()):
            for name, field in schema.get("properties", {}).items():
                for example in field.get("examples", ())[:1]:
                    if name in ALIKE or not isinstance(example, str):
                        self._by_name.setdefault(name, example)

    def plain(self, schema: Schema) -> Schema:
        """A schema without its reference, its null, and its alternatives but the first."""
        while True:
            if "$ref" in schema:
                told = {key: value for key, value in schema.items() if key != "$ref"}
                schema = {**self._schemas[schema["$ref"].rpartition("/")[2]], **told}
                continue
            choices = schema.get("anyOf") or schema.get("oneOf")
            if not choices:
                return schema
            taken = next((one for one in choices if one.get("type") != "null"), choices[0])
            schema = {**{key: value for key, value in schema.items() if key not in ("anyOf", "oneOf")}, **taken}

    def drawn(self, schema: Schema) -> str:
        """An example of a schema as text."""
        return _drawn(self._example(schema), 0)

    def _example(self, schema: Schema, depth: int = 0, name: str = "") -> Any:
        given = schema.get("examples")
        schema = self.plain(schema)
        given = given or schema.get("examples")
        if schema.get("type") == "object" or "properties" in schema:
            return self._object(schema, given, depth)
        if schema.get("type") == "array":
            return self._array(schema, given, depth, name)
        value = next((one for one in given or () if one is not None), None)
        if value is None:
            value = self._guess(schema, name)
        if isinstance(value, str) and not isinstance(value, Left) and len(value) > CUT:
            return f"{value[:CUT]}…"
        return value

    def _object(self, schema: Schema, given: Any, depth: int) -> Any:
        properties = schema.get("properties", {})
        if depth and schema.get("title") in self._known:
            return Left(f"{{{schema['title']}}}")
        if properties and depth < 2:
            most = len(properties) if depth == 0 else INNER
            shown = {key: self._example(properties[key], depth + 1, key) for key in list(properties)[:most]}
            return {**shown, Left("…"): ""} if len(properties) > most else shown
        if given and depth < 2 and len(json.dumps(given[0])) <= CUT:
            return given[0]
        return Left("{…}")

    def _array(self, schema: Schema, given: Any, depth: int, name: str) -> Any:
        items = self.plain(schema.get("items", {}))
        if "properties" in items:
            if items.get("title") in self._known:
                return Left(f"[{{{items['title']}}}, …]")
            return [self._example(schema["items"], depth, name)] if depth == 1 else Left("[…]")
        found = given[0] if given else self._by_name.get(name)
        if isinstance(found, list) and found and len(json.dumps(found[:2])) <= CUT:
            return [*found[:2], Left("…")] if len(found) > 2 else found
        return Left("[…]")

    def _guess(self, schema: Schema, name: str) -> object:
        if "enum" in schema or "const" in schema:
            return (schema.get("enum") or [schema["const"]])[0]
        kinds: dict[str, type | tuple[type, ...]] = {"string": str, "number": (int, float), "integer": int}
        kind, found = schema.get("type", ""), self._by_name.get(name)
        if kind in kinds and isinstance(found, kinds[kind]):
            return found
        return {"boolean": True, "integer": 12, "number": 12.5}.get(kind, Left("…"))


def _drawn(value: Any, indent: int, before: int = 0) -> str:
    """JSON, on one line where it fits behind what is before it."""
    line = _line(value)
    room = WIDTH - indent
    if len(line) + before <= room or not isinstance(value, dict | list):
        return line
    if isinstance(value, list):
        return f"[{', '.join(_drawn(one, indent) for one in value)}]"
    lines: list[str] = []
    for key, one in value.items():
        part = "…" if isinstance(key, Left) else f"{json.dumps(key)}: {_drawn(one, indent + 2, len(key) + 4)}"
        if lines and "\n" not in part + lines[-1] and len(lines[-1]) + len(part) + 4 <= room:
            lines[-1] += f", {part}"  # short members share a line
        else:
            lines.append(part)
    pad = f"\n{' ' * (indent + 2)}"
    return f"{{{pad}{f',{pad}'.join(lines)}\n{' ' * indent}}}"


def _line(value: Any) -> str:
    if isinstance(value, Left):
        return str(value)
    if isinstance(value, dict):
        members = ("…" if isinstance(key, Left) else f"{json.dumps(key)}: {_line(one)}" for key, one in value.items())
        return f"{{{', '.join(members)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_line, value))}]"
    return json.dumps(value, ensure_ascii=False)
