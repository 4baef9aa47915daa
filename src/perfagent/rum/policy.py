"""Content Security Policy: whether a page may load the script and tell the hub, and the nonce that it takes.

A policy that only reports counts as one that forbids: a report is as unwelcome as an error in the console.
Rules: W3C Content Security Policy Level 3, section 6.7.
"""

from __future__ import annotations

import re

from perfagent.rum.address import PORTS, SCRIPT, TARGET, name_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfagent.rum.address import Address

    Policy = dict[str, tuple[str, ...]]

_NONCE = re.compile(r"'nonce-([A-Za-z0-9+/_-]+={0,2})'", re.IGNORECASE)
_HOST = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]*)://)?(?P<host>\*|(?:\*\.)?[a-z0-9._-]+|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>\d+|\*))?(?P<path>/.*)?"
)
SANDBOX = ("allow-scripts", "allow-same-origin")
"""What a sandboxed page needs: without the second its origin is `null`, which no hub takes anything from."""


def judge(policies: Iterable[str], address: Address, host: str, secure: bool) -> str | None:
    """The nonce that the script's tag needs, "" where it needs none, None where a policy forbids the script.

    Args:
        policies: texts of headers, each of which may hold several.
        address: of the hub.
        host: the page's Host header.
        secure: whether the page came over https.
    """
    needed: set[str] | None = None
    for policy in (_parsed(one) for text in policies for one in text.split(",")):
        if "sandbox" in policy and not set(SANDBOX) <= {token.lower() for token in policy["sandbox"]}:
            return None
        if address.scheme == "http" and not address.loopback and "upgrade-insecure-requests" in policy:
            return None
        connect = _first(policy, "connect-src", "default-src")
        if connect is not None and not _allows(connect, address, TARGET, host, secure):
            return None
        scripts = _first(policy, "script-src-elem", "script-src", "default-src")
        if scripts is None:
            continue
        strict = "'strict-dynamic'" in (source.lower() for source in scripts)
        if not strict and _allows(scripts, address, SCRIPT, host, secure):
            continue
        nonces = set(_NONCE.findall(" ".join(scripts)))
        needed = nonces if needed is None else needed & nonces
        if not needed:
            return None
    return min(needed) if needed else ""


def _parsed(text: str) -> Policy:
    policy: Policy = {}
    for directive in text.split(";"):
        name, *sources = directive.split() or [""]
        policy.setdefault(name.lower(), tuple(sources))  # of two the first holds
    return policy


def _first(policy: Policy, *names: str) -> tuple[str, ...] | None:
    return next((policy[name] for name in names if name in policy), None)


def _allows(sources: Iterable[str], address: Address, path: str, host: str, secure: bool) -> bool:
    return any(_matches(source.lower(), address, address.path + path, host, secure) for source in sources)


def _matches(source: str, address: Address, path: str, host: str, secure: bool) -> bool:
    scheme = address.scheme or ("https" if secure else "http")
    name, port = address.host, address.port
    if address.own:
        _, _, told = host.rpartition("]")[2].rpartition(":")
        name, port = name_of(host), int(told) if told.isdecimal() else PORTS[scheme]
    if source == "'self'":
        return address.own or _is_same(host, scheme, name, port, secure)
    if source == "*":
        return True
    if source.endswith(":"):
        return _fits(source[:-1], scheme)
    found = _HOST.fullmatch(source)
    if found is None or not _fits(found["scheme"] or ("https" if secure else "http"), scheme):
        return False
    wanted = found["host"].strip("[]")
    if wanted != "*" and not (name.endswith(wanted[1:]) if wanted.startswith("*.") else name == wanted):
        return False
    if found["port"] != "*" and int(found["port"] or PORTS[scheme]) != port:
        return False
    allowed = found["path"] or "/"
    return allowed == "/" or allowed == path or (allowed.endswith("/") and path.startswith(allowed))


def _fits(allowed: str, scheme: str) -> bool:
    """Whether a source's scheme lets a request's: http lets https, too."""
    return allowed == scheme or (allowed == "http" and scheme == "https")


def _is_same(host: str, scheme: str, name: str, port: int, secure: bool) -> bool:
    """Whether an address is the page's own origin."""
    own = "https" if secure else "http"
    told = host.rpartition("]")[2].rpartition(":")[2] if ":" in host.rpartition("]")[2] else ""
    return (own, name_of(host), int(told) if told.isdecimal() else PORTS[own]) == (scheme, name, port)
