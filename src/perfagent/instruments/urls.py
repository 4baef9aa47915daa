"""Which addresses are left out (OTEL_PYTHON_EXCLUDED_URLS and each instrument's own variable), for spans and metrics alike."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from re import Pattern

    from perfagent.settings import Settings

excluded: Pattern[str] | None = None
"""What an address is searched for; None, which costs nothing, where nothing is left out."""


def configure(settings: Settings) -> None:
    """Compiles the expressions; one that is none is reported and left out."""
    global excluded
    if not settings.excluded_urls:
        excluded = None
        return
    import re

    good = []
    for expression in settings.excluded_urls:
        try:
            re.compile(expression)
            good.append(f"(?:{expression})")
        except re.error as error:
            settings.report(
                f"OTEL_PYTHON_EXCLUDED_URLS={expression!r} is not accepted: a regular expression ({error}); "
                "going on without it"
            )
    excluded = re.compile("|".join(good)) if good else None


def is_excluded(scheme: str, host: bytes | str, path: str) -> bool:
    """Whether the address is one of those left out."""
    name = host.decode("latin-1") if isinstance(host, bytes) else host
    return excluded is not None and excluded.search(f"{scheme}://{name}{path}") is not None
