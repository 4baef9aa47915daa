"""The texts of notifications: ours for each format, and those of users, in a language that cannot harm the hub."""

from __future__ import annotations

import re
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from perfagent.hub.notify.facts import FIELDS, Address

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jinja2 import Template
    from jinja2.sandbox import SandboxedEnvironment

Format = Literal["text", "markdown", "slack", "html"]
HERE = Path(__file__).parent
LONGEST = 10_000  # characters of a user's template
SPECIAL = re.compile(r"([\\`*_\[\]#~|])")


class BadTemplate(ValueError):  # noqa: N818 - a state of a file
    """A template that cannot be used; the text says why, and which fields there are."""


def _markdown(text: str) -> str:
    return SPECIAL.sub(r"\\\1", escape(text, quote=False))


def _slack(text: str) -> str:
    """Slack's own form: `&`, `<` and `>` make links and call people; it knows no way to escape what makes text bold."""
    return escape(text, quote=False)


ESCAPES: dict[Format, Callable[[str], str]] = {
    "text": str,
    "markdown": _markdown,
    "slack": _slack,
    "html": escape,
}


def ours(form: Format, fields: Mapping[str, Any]) -> str:
    """Our text in a format.

    Args:
        fields: those of `facts.of`, or `digest` with the lines of several events.
    """
    return _tidy(_own(form).render(fields))


def users(text: str, form: Format, fields: Mapping[str, Any]) -> str:
    """A user's text with its fields, each escaped for the format.

    Raises:
        BadTemplate: it cannot be made into a text.
    """
    try:
        made = _tidy(_compiled(text, form).render(fields))
        return made.replace("\n", "<br>\n") if form == "html" and "<" not in text else made
    except Exception as error:  # whatever a template does: divide by zero, ask for an attribute that is private
        raise BadTemplate(f"{type(error).__name__}: {error}") from error


def check(text: str) -> None:
    """Raises BadTemplate where a user's template is off: a mistake in its form, or a field that does not exist."""
    from jinja2 import TemplateSyntaxError, meta

    environment = _environment("text")
    try:
        asked = meta.find_undeclared_variables(environment.parse(text))
    except TemplateSyntaxError as error:
        raise BadTemplate(f"line {error.lineno}: {error.message}; the language is Jinja's: {{{{ title }}}}") from None
    unknown = sorted(asked - FIELDS.keys())
    if unknown:
        raise BadTemplate(f"{', '.join(unknown)} is no field; there are: {', '.join(FIELDS)}")
    sample: dict[str, Any] = dict.fromkeys(FIELDS, "")
    figure = dict.fromkeys(("service", "subject", "title", "text", "value", "worst", "limit", "advice"), "")
    users(text, "text", {**sample, "services": [""], "figures": [figure], "traces": [""]})


def _tidy(text: str) -> str:
    return re.sub(r"\n{3,}", "\n\n", text).strip()


@lru_cache(maxsize=8)
def _environment(form: Format) -> SandboxedEnvironment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    escaped = ESCAPES[form]

    def finalize(value: object) -> str:
        if isinstance(value, Address):
            return escape(value) if form == "html" else str(value)
        return escaped(str(value))

    return ImmutableSandboxedEnvironment(
        finalize=finalize, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


@lru_cache(maxsize=4)
def _own(form: Format) -> Template:
    return _environment(form).from_string((HERE / f"{form}.jinja").read_text())


@lru_cache(maxsize=64)
def _compiled(text: str, form: Format) -> Template:
    return _environment(form).from_string(text)
