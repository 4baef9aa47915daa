"""Asks a hub over HTTP: finds the user's own by its lock file, or takes the one that is named."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from perfagent import __version__
from perfagent.hub import lock
from perfagent.hub.access import Access, secret
from perfagent.settings import current

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfagent.settings import Settings

PREFIX = "/api/v1/performance"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
NOTES = "Perfagent-Notes"
SILENCE = 40  # seconds; the stream of live values sends a heartbeat every 15
START = "start one with `perfagent hub --background`, or a program with `perfagent run`"


class HubError(Exception):
    """Why there is no answer; `status` is the command's exit status."""

    status = 3


class NoHubError(HubError):
    """No hub runs, or none answers where it should."""


class RefusedError(HubError):
    """The hub answers, and does not give what was asked: a wrong token, a wrong value, nothing there.

    Args:
        code: the HTTP status.
        message: for people.
    """

    status = 2

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Event(NamedTuple):
    """One event of the stream of live values."""

    name: str
    data: dict[str, Any]


class Client:
    """A hub, as one command asks it; one connection, kept open.

    Args:
        address: such as http://127.0.0.1:4318; a path is put before every other.
        token: what is shown to the hub; "" for none.
        timeout: longest wait for an answer, in seconds.
        access: what makes links that log in, where the hub is the user's own.
    """

    def __init__(self, address: str, token: str = "", timeout: float = 10, access: Access | None = None) -> None:
        self.address = address.rstrip("/")
        self.timeout = timeout
        self.access = access
        self.notes: dict[str, None] = {}  # what answers lacked, where the hub reads from elsewhere; each once
        self._headers = {"Accept": "application/json", "User-Agent": f"perfagent/{__version__}"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._connection: http.client.HTTPConnection | None = None

    @classmethod
    def find(cls, url: str = "", token: str = "", timeout: float = 10, role: str = "viewer") -> Client:
        """The hub that is named, by the arguments or the settings, else the user's own; raises NoHubError.

        Args:
            url, token, timeout: as the constructor takes them; what is "" comes from the settings.
            role: that the token of the user's own hub gives: `viewer` reads, `operator` acts, `admin` changes.
        """
        settings = current()
        url = url or settings.hub_url
        directory = lock.directory(settings)
        own = lock.find(directory)
        if url and not _usable(url):
            raise RefusedError(400, f"{url!r} is no address of a hub: it should look like http://127.0.0.1:4318")
        if own is None and not url:
            raise NoHubError(f"no hub runs (none holds {directory}/hub.lock): {START}; or name one with --url")
        if own is None or (url and not _same(url, own.address)):
            return cls(url, token or settings.hub_token, timeout)
        # Not `url`: on its host's other address, such as [::1], another user may listen, who would get the token.
        return cls._own(directory, own.address, token, timeout, role)

    @classmethod
    def own(cls, settings: Settings, timeout: float = 10, role: str = "viewer") -> Client:
        """The hub that lives in the folder of these settings, whatever they name elsewhere; raises NoHubError."""
        directory = lock.directory(settings)
        found = lock.find(directory)
        if found is None:
            raise NoHubError(f"no hub runs (none holds {directory}/hub.lock): {START}")
        return cls._own(directory, found.address, "", timeout, role)

    @classmethod
    def _own(cls, directory: str, address: str, token: str, timeout: float, role: str = "viewer") -> Client:
        """A hub that holds its lock: what the secret gives goes to it and to no other listener."""
        try:
            access = Access(secret(directory))
        except OSError as error:
            raise NoHubError(f"the token of the hub in {directory} cannot be had: {error.strerror}") from None
        return cls(address, token or access.token(role), timeout, access)

    @property
    def headers(self) -> dict[str, str]:
        """What each request carries, the token among it."""
        return dict(self._headers)

    @property
    def page(self) -> str:
        """What opens the page in a browser; where the hub is the user's own, it logs in for the next 15 minutes."""
        return f"{self.address}/?code={self.access.code()}" if self.access else f"{self.address}/"

    def get(self, path: str, **parameters: object) -> Any:
        """The `data` of an answer.

        Args:
            path: below the prefix, such as "traces"; parts that come from a user are to be quoted by `segment`.
            parameters: of the query; None and "" are left out, a list is repeated, `from_` stands for `from`.

        Raises:
            HubError: where there is no such answer.
        """
        return self._data(self._json(_address(f"{PREFIX}/{path}", parameters)))

    def post(self, path: str, content: object) -> Any:
        """The `data` of the answer to a change; raises HubError.

        Args:
            path: below the prefix.
            content: what JSON can hold.
        """
        return self.change("POST", path, content)

    def change(self, method: str, path: str, content: object = None) -> Any:
        """As `post`, by another method of HTTP, such as PUT or DELETE."""
        encoded = json.dumps(content).encode()
        _status, body = self._ask(f"{PREFIX}/{path}", (200, 201, 202), encoded, method)
        return self._data(self._parsed(body))

    def _data(self, answer: Any) -> Any:
        try:
            return answer["data"]
        except (KeyError, TypeError):
            raise NoHubError(f"{self.address} answers, but not as a hub does") from None

    def text(self, path: str, **parameters: object) -> str:
        """An answer that is no JSON, such as CSV; raises HubError."""
        return self._ask(_address(f"{PREFIX}/{path}", parameters))[1].decode("utf-8", "replace")

    def content(self, path: str, **parameters: object) -> bytes:
        """An answer that is a file; raises HubError."""
        return self._ask(_address(f"{PREFIX}/{path}", parameters))[1]

    def health(self) -> dict[str, Any]:
        """The hub's own health, which it tells without a token, the bad one too; raises HubError."""
        answer = self._json("/health", accepted=(200, 503))
        return answer if isinstance(answer, dict) else {}

    def events(self) -> Iterator[Event]:
        """Live values as they come, until the connection ends; raises HubError where it cannot be made."""
        connection = self._connect(SILENCE)
        try:
            headers = {**self._headers, "Accept": "text/event-stream"}
            connection.request("GET", self._path(f"{PREFIX}/realtime"), headers=headers)
            response = connection.getresponse()
            if response.status != 200:
                raise self._refusal(response.status, response.read())
            yield from _parse(response)
        except (OSError, http.client.HTTPException) as error:
            raise self._silent(error) from None
        finally:
            connection.close()

    def _json(self, path: str, accepted: tuple[int, ...] = (200,)) -> Any:
        return self._parsed(self._ask(path, accepted)[1])

    def _parsed(self, body: bytes) -> Any:
        try:
            return json.loads(body)
        except ValueError:
            raise NoHubError(f"{self.address} answers, but not as a hub does") from None

    def _ask(
        self, path: str, accepted: tuple[int, ...] = (200,), content: bytes | None = None, method: str = "POST"
    ) -> tuple[int, bytes]:
        kept = self._connection is not None and content is None  # a change is not asked for twice
        headers = self._headers if content is None else {**self._headers, "Content-Type": "application/json"}
        try:
            connection = self._connection = self._connection or self._connect(self.timeout)
            connection.request("GET" if content is None else method, self._path(path), content, headers)
            response = connection.getresponse()
            body = response.read()
            self.notes |= dict.fromkeys(filter(None, response.getheader(NOTES, "").split(" | ")))
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if kept and not isinstance(error, TimeoutError):
                return self._ask(path, accepted)  # the hub closes a connection that was idle
            raise self._silent(error) from None
        if response.status not in accepted:
            raise self._refusal(response.status, body)
        return response.status, body

    def close(self) -> None:
        """Ends the connection; the next question makes another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        target = urlsplit(self.address)
        if target.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(target.hostname or "", target.port, timeout=timeout, context=context)
        return http.client.HTTPConnection(target.hostname or "", target.port, timeout=timeout)

    def _path(self, path: str) -> str:
        return urlsplit(self.address).path + path

    def _silent(self, error: Exception) -> NoHubError:
        if isinstance(error, TimeoutError):
            return NoHubError(f"the hub at {self.address} did not answer in {self.timeout:g} s; --timeout waits longer")
        if isinstance(error, ConnectionRefusedError):
            return NoHubError(f"nobody listens at {self.address}: {START}")
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return NoHubError(f"the hub at {self.address} cannot be asked: {reason}")

    def _refusal(self, status: int, body: bytes) -> HubError:
        try:
            told = json.loads(body)["error"]
            message, field = str(told["message"]), str(told.get("field") or "")
        except (ValueError, KeyError, TypeError, AttributeError):
            return NoHubError(f"{self.address} answered {status}, but not as a hub does")
        if status == 401:
            return RefusedError(
                status, f"the hub at {self.address} wants a token: give its own in PERFAGENT_HUB_TOKEN or with --token"
            )
        if status >= 500:
            return NoHubError(f"the hub at {self.address} answered {status}: {message}")
        return RefusedError(status, f"{message} ({field})" if field and field not in message else message)


def segment(text: str) -> str:
    """A part of a path that a user gave."""
    return quote(text, safe="")


def _address(path: str, parameters: dict[str, object]) -> str:
    kept = {key.rstrip("_"): value for key, value in parameters.items() if value not in (None, "", [], ())}
    return f"{path}?{urlencode(kept, doseq=True)}" if kept else path


def _usable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def _same(one: str, other: str) -> bool:
    """Whether two addresses are those of one listener."""
    ends = []
    for parts in (urlsplit(one), urlsplit(other)):
        host = "loopback" if parts.hostname in LOOPBACK else parts.hostname
        ends.append((parts.scheme, host, parts.port or (443 if parts.scheme == "https" else 80)))
    return ends[0] == ends[1]


def _parse(lines: Iterator[bytes] | http.client.HTTPResponse) -> Iterator[Event]:
    """The events of a stream, by the HTML standard; what is not JSON is passed over."""
    name, data = "message", []
    for raw in lines:
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        key, _colon, value = line.partition(":")
        value = value.removeprefix(" ")
        if key == "event":
            name = value
        elif key == "data":
            data.append(value)
        elif not line and data:
            try:
                found = json.loads("\n".join(data))
            except ValueError:
                found = None
            if isinstance(found, dict):
                yield Event(name, found)
            name, data = "message", []
