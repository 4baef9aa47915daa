"""Which addresses are left out of spans and metrics: OTEL_PYTHON_EXCLUDED_URLS and each library's own variable.

A library's own variable stands in the place of the common one, as in OpenTelemetry's instrumentors.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from re import Pattern

    from perfagent.settings import Settings

FRAMEWORKS = ("fastapi", "starlette", "flask", "django", "tornado")

excluded: Pattern[str] | None = None
"""What the address of a request to this server is searched for; None, which costs nothing, where nothing is left out.

It is asked before anybody knows which framework will answer, so the frameworks' variables act as one.
"""
_settings: Settings | None = None


def configure(settings: Settings) -> None:
    """Compiles the servers' expressions; the clients' are compiled when their library is imported."""
    global excluded, _settings
    _settings = settings
    own = [f"{name}_excluded_urls" for name in FRAMEWORKS if getattr(settings, f"{name}_excluded_urls")]
    excluded = _compiled(settings, own or ["excluded_urls"])


def excluded_by(client: str) -> Pattern[str] | None:
    """What an HTTP client leaves out of the addresses that it calls.

    Args:
        client: as in the name of its option: "requests", "urllib", "urllib3", "httpx", "aiohttp_client" or
            "tornado_client".
    """
    if _settings is None:
        return None
    own = f"{client}_excluded_urls"
    return _compiled(_settings, [own if getattr(_settings, own) else "excluded_urls"])


def is_excluded(scheme: str, host: bytes | str, path: str) -> bool:
    """Whether the address is one of those left out."""
    name = host.decode("latin-1") if isinstance(host, bytes) else host
    return excluded is not None and excluded.search(f"{scheme}://{name}{path}") is not None


def _compiled(settings: Settings, options: list[str]) -> Pattern[str] | None:
    """One pattern of all that the options hold; an expression that is none is reported and left out."""
    found = [(option, expression) for option in options for expression in getattr(settings, option)]
    if not found:
        return None
    import re

    good = []
    for option, expression in found:
        try:
            re.compile(expression)
            good.append(f"(?:{expression})")
        except re.error as error:
            settings.report(
                f"OTEL_PYTHON_{option.upper()}={expression!r} is not accepted: a regular expression ({error}); "
                "going on without it"
            )
    return re.compile("|".join(good)) if good else None
