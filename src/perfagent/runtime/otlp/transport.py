"""How OTLP leaves the process: `http.client` on a kept connection, used by the background thread alone.

Rules: OpenTelemetry protocol specification, "OTLP/HTTP" (retryable codes, Retry-After, partial success).
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from http.client import HTTPConnection, HTTPResponse
    from ssl import SSLContext
    from typing import NoReturn

    from perfagent.settings import Settings

DEFAULT = "http://localhost:4318"
RETRYABLE = frozenset((408, 429, 502, 503, 504))
LARGEST_ANSWER = 65_536  # bytes of a response that are read; a hostile receiver may send without end


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """The receiver will never take this payload; what is in it is lost."""


class Unavailable(Exception):  # noqa: N818
    """The receiver could not be reached or asks to come back.

    Args:
        reason: what happened, for a person.
        retry_after: seconds to wait, where the receiver said so; else None.
    """

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Destination:
    """Where one kind of signal goes.

    Args:
        url: full address, http or https.
        headers: sent with every request.

    Raises:
        ValueError: the address is none; the text says what is accepted.
    """

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        scheme, separator, rest = url.partition("://")
        host, slash, path = rest.partition("/")
        if not separator or scheme not in ("http", "https") or not host or host.startswith(":"):
            raise ValueError("an address such as http://localhost:4318")
        self.url = url
        self.secure = scheme == "https"
        self.authority = host.rpartition("@")[2]
        self.path = slash + path or "/"
        self.headers = headers


def destinations(settings: Settings) -> dict[str, Destination]:
    """The destination of each signal that goes out by OTLP: keys `traces`, `metrics`, `logs`, `profiles`.

    A signal's own address is taken as it is; the common one gets /v1/SIGNAL (specification, "Endpoint URLs for
    OTLP/HTTP"). A malformed address is reported and that signal goes nowhere. Without any address nothing is sent,
    unless somebody asked for `otlp` by name: then the specification's default address serves.
    """
    base = settings.endpoint or _from_jaeger(settings)
    found = {}
    for signal in ("traces", "metrics", "logs"):
        if "otlp" not in getattr(settings, f"{signal}_exporter"):
            continue
        url = getattr(settings, f"{signal}_endpoint") or (base and f"{base.rstrip('/')}/v1/{signal}")
        if not url:
            if not settings.environ.get(f"OTEL_{signal.upper()}_EXPORTER"):
                continue
            url = f"{DEFAULT}/v1/{signal}"
        headers = {**settings.headers, **getattr(settings, f"{signal}_headers")}
        try:
            found[signal] = Destination(url, headers)
        except ValueError as error:
            settings.report(
                f"OTEL_EXPORTER_OTLP_ENDPOINT={_shown(url)!r} is not accepted: {_shown(str(error))}; "
                f"{signal} go nowhere until it is one"
            )
    if settings.profiler:
        _add_profiles(found, settings, base)
    return found


def _add_profiles(found: dict[str, Destination], settings: Settings, base: str) -> None:
    """The destination of profiles, whose address is that of a protocol in development; where nobody names one, that of
    the other signals serves.
    """
    from perfagent.settings.profiler import ProfilerSettings

    own = ProfilerSettings.current()
    url = own.endpoint or (base and f"{base.rstrip('/')}/v1development/profiles")
    if url and "otlp" in own.exporter:
        try:
            found["profiles"] = Destination(url, settings.headers)
        except ValueError as error:
            settings.report(
                f"OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT={_shown(url)!r} is not accepted: {_shown(str(error))}; "
                "profiles go nowhere until it is one"
            )


def _shown(text: str) -> str:
    from perfagent.runtime import scrub

    return scrub.text(text)


def _from_jaeger(settings: Settings) -> str:
    """OTLP on the host of an old Jaeger collector's address, such as http://localhost:14268/api/traces; or ''."""
    if not settings.jaeger_endpoint:
        return ""
    scheme, _, rest = settings.jaeger_endpoint.rpartition("://")
    host = rest.partition("/")[0].rpartition("@")[2]
    name = host[: host.rindex(":")] if host.rpartition(":")[2].isdecimal() else host
    url = f"{scheme or 'http'}://{name}:4318"
    given = _shown(settings.jaeger_endpoint)
    settings.report(f"JAEGER_ENDPOINT={given!r} is of a protocol that is gone; sending to {url}")
    return url


class Transport:
    """Connections to the receivers, kept open between exports.

    Args:
        settings: time limit, compression, certificates.
    """

    def __init__(self, settings: Settings) -> None:
        from perfagent import __version__

        self.timeout = settings.timeout / 1000
        self.compression = settings.compression
        self.settings = settings
        self.connections: dict[tuple[bool, str], HTTPConnection] = {}
        self._inodes: dict[HTTPConnection, int] = {}
        self.agent = f"perfagent/{__version__} OTel-OTLP-Exporter-Python"
        self.commanded: Destination | None = None
        """Who said with its last answer that commands wait for this process."""

    def send(self, to: Destination, body: bytes, timeout: float | None = None) -> int:
        """Posts one payload and returns how many items the receiver rejected of it (partial success).

        Args:
            to: where.
            body: an encoded request message.
            timeout: seconds for each step on the network; the setting when left out.

        Raises:
            Refused: a final answer.
            Unavailable: worth another try.
        """
        headers = {"Content-Type": "application/x-protobuf", "User-Agent": self.agent, **to.headers}
        body = self._compress(body, headers)
        response, content = self.exchange(to, "POST", to.path, body, headers, timeout)
        if 200 <= response.status < 300:
            if response.headers.get("Perfagent-Control"):
                self.commanded = to
            return rejected(content)
        return _refuse(to, response)

    def exchange(
        self, to: Destination, method: str, path: str, body: bytes, headers: dict[str, str], timeout: float | None
    ) -> tuple[HTTPResponse, bytes]:
        """Sends one request on the kept connection and reads the first 64 KiB of the answer.

        Args:
            to: whose connection.
            method: of HTTP.
            path: there.
            body: of the request.
            headers: all of them.
            timeout: as of `send`; for all of the answer, however slowly it comes.

        Raises:
            Unavailable: no answer.
        """
        from perfagent.runtime.otlp import answering

        for fresh in (False, True):
            connection, reused = self._connection(to, fresh, timeout)
            try:
                connection.response_class = answering.within(connection.timeout)  # type: ignore[assignment]
                connection.request(method, path, body, headers)
                response = connection.getresponse()
                content = response.read(LARGEST_ANSWER)
                break
            except Exception as error:
                self._forget(to)
                if not reused:  # a kept connection may have been closed meanwhile: that deserves a new one
                    raise Unavailable(f"{to.url}: {type(error).__name__}: {error}") from error
        if response.will_close or not response.isclosed():
            self._forget(to)
        elif not reused and connection.sock is not None:
            self._inodes[connection] = os.fstat(connection.sock.fileno()).st_ino
        return response, content

    def _compress(self, body: bytes, headers: dict[str, str]) -> bytes:
        if self.compression == "none":
            return body
        import zlib

        headers["Content-Encoding"] = self.compression
        # Level 1: spans repeat so much that it packs to within a fifth of level 6 at a third of the CPU.
        form = 31 if self.compression == "gzip" else 15
        packer = zlib.compressobj(1, zlib.DEFLATED, form)
        return packer.compress(body) + packer.flush()

    def _connection(self, to: Destination, fresh: bool, timeout: float | None) -> tuple[HTTPConnection, bool]:
        key = (to.secure, to.authority)
        seconds = self.timeout if timeout is None else max(min(timeout, self.timeout), 0.05)
        known = self.connections.get(key)
        if known is not None and known.sock is not None and not fresh and self._is_ours(known):
            known.timeout = seconds
            known.sock.settimeout(seconds)
            return known, True
        self._forget(to)
        connection = self.connections[key] = self._connect(to, seconds)
        return connection, False

    def _connect(self, to: Destination, timeout: float) -> HTTPConnection:
        from http.client import HTTPConnection, HTTPSConnection

        from perfagent.runtime.otlp import dialling

        host, tunnel = _proxied(to)
        if not to.secure:
            connection = HTTPConnection(host, timeout=timeout)
        else:
            try:
                connection = HTTPSConnection(host, timeout=timeout, context=self._tls())
            except OSError as error:
                raise Unavailable(f"the certificate files cannot be read: {error}") from error
        if tunnel:
            connection.set_tunnel(to.authority)
        if dialling.is_green():
            connection._create_connection = dialling.connect  # type: ignore[attr-defined]
        return connection

    def _tls(self) -> SSLContext:
        import ssl

        context = ssl.create_default_context(cafile=self.settings.certificate or None)
        if self.settings.client_certificate:
            context.load_cert_chain(self.settings.client_certificate, self.settings.client_key or None)
        return context

    def _forget(self, to: Destination) -> None:
        connection = self.connections.pop((to.secure, to.authority), None)
        if connection is not None:
            if connection.sock is not None and not self._is_ours(connection):
                connection.sock.detach()
            self._inodes.pop(connection, None)
            connection.close()

    def _is_ours(self, connection: HTTPConnection) -> bool:
        """Whether its descriptor is still that of its socket: a program may close every one there is, as daemons do,
        and what we send or close must not be a file that it has opened since.
        """
        try:
            inode = os.fstat(connection.sock.fileno()).st_ino
        except OSError:
            return False
        return self._inodes.get(connection, inode) == inode

    def abandon(self) -> None:
        """Closes a forked child's copies of the connections without a word to the other side: its parent goes on with
        them, and the program may use the numbers of the descriptors for files of its own.
        """
        connections, self.connections, self._inodes = self.connections, {}, {}
        for connection in connections.values():
            if connection.sock is not None:
                connection.sock.close()


def _proxied(to: Destination) -> tuple[str, bool]:
    """The host to connect to, and whether it is a proxy that must be asked for a tunnel."""
    if to.authority.startswith(("127.0.0.1:", "localhost:", "[::1]:")):  # a hub: no proxy reaches this machine's own
        return to.authority, False
    scheme = "https" if to.secure else "http"
    if not any(os.environ.get(name) for name in (f"{scheme}_proxy", f"{scheme.upper()}_PROXY")):
        return to.authority, False
    from urllib.request import getproxies, proxy_bypass

    proxy = getproxies().get(scheme, "")
    if not proxy or proxy_bypass(to.authority):
        return to.authority, False
    return proxy.rpartition("//")[2].rstrip("/"), True


def _refuse(to: Destination, response: HTTPResponse) -> NoReturn:
    reason = f"{to.url} answered {response.status} {response.reason}"
    if response.status in RETRYABLE:
        raise Unavailable(reason, _retry_after(response.headers.get("Retry-After")))
    raise Refused(reason)


def _retry_after(header: str | None) -> float | None:
    """Seconds, from a number or an HTTP date; at most five minutes, for a receiver may say anything."""
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        from email.utils import parsedate_to_datetime

        from perfagent.runtime import clock

        try:
            seconds = parsedate_to_datetime(header).timestamp() - clock.time()
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
    return min(max(seconds, 0.0), 300.0) if seconds == seconds else None  # not where it is NaN


def rejected(response: bytes) -> int:
    """How many items an Export*ServiceResponse says were rejected; 0 for anything that is not one."""
    try:
        if response[:1] != b"\x0a" or len(response) < 4 or response[2:3] != b"\x08":
            return 0
        count = shift = 0
        for byte in response[3:13]:
            count |= (byte & 127) << shift
            if byte < 128:
                return count
            shift += 7
    except IndexError:
        pass
    return 0
