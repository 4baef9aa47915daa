"""Starts a hub in the background: no child of the program that follows, with nothing of its terminal or its files.

Standard library alone, like `lock`: `perfagent run` comes by here and waits for nothing.
"""

from __future__ import annotations

import os
import sys

from perfagent.hub import lock
from perfagent.hub.lock import Found, Place, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, NoReturn

    from perfagent.settings import Settings

PACKAGES = ("duckdb", "fastapi", "orjson", "uvicorn")
"""What tells that the extra `hub` is installed; the rest of it comes along."""

HOW_TO_GET = 'pip install "perfagent[hub]" (or pipx install "perfagent[hub]")'

LOCK, LISTENER = 3, 4  # the numbers of the descriptors that a hub inherits

KEPT = (
    "BROWSER",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISABLE_DETAILED_MONITORING",
    "DISPLAY",
    "ENABLE_ADAPTIVE_INTERVALS",
    "ENABLE_METRIC_COMPRESSION",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "NO_COLOR",
    "PATH",
    "SHELL",
    "TEMP",
    "TMP",
    "TMPDIR",
    "TZ",
    "USER",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
)
"""What a hub gets of its starter's environment, besides LC_*, XDG_*, PERFAGENT_* and PERFORMANCE_*: it stays when the
program is gone, so the program's secrets and its PYTHON* settings are none of its business."""

READ = ("prometheus_url", "prometheus_headers", "jaeger_url", "jaeger_headers")
"""The options of a hub that reads from elsewhere, besides those that begin with `remote`."""

ROTATE = 1 << 20  # bytes of hub.log after which a new one is begun


def start(settings: Settings, by_itself: bool, opens: bool = False) -> Found:
    """The hub of this user: the one that lives, else a new one in the background; waits for neither.

    Args:
        settings: where it is to be; a hub that is started gets its options from them.
        by_itself: whether nobody asked for it, so that it may leave when it is idle.
        opens: whether a new one shows its page in a browser.

    Raises:
        Unavailable: none can be had.
    """
    place = lock.take(settings)
    if isinstance(place, Found):
        return place
    try:
        words = command()
        if not words:
            raise Unavailable(f"the hub's packages are not installed: {HOW_TO_GET}", 7)
        words += ["hub", f"--inherit={LOCK},{LISTENER}", *(["--by-itself"] if by_itself else [])]
        words += ["--open"] if opens else []
        log = _log(place.folder)
        try:
            _detach(words, environment(settings, place.folder), place, log)
        except OSError as error:
            raise Unavailable(f"no hub can be started: {error.strerror}", 5) from error
        finally:
            os.close(log)
        found = lock.told(place.lock)
    finally:
        place.leave()
    found.is_new = True
    return found


def command() -> list[str]:
    """What a hub is started by: this interpreter where it has the packages, else a `perfagent` elsewhere that has them.

    Returns:
        The words before `hub`; none where there is nothing.
    """
    if sys.executable and all(map(_is_here, PACKAGES)):
        return [sys.executable, "-m", "perfagent"]
    for script in _scripts():
        python = _interpreter(script)
        if python and _has_packages(_prefix(python), _prefix(script)):
            return [script]
    return []


def _is_here(package: str) -> bool:
    """Whether this interpreter finds the package; nothing is imported, not even `importlib.util`, which takes 7 ms."""
    for finder in sys.meta_path:
        try:
            if finder.find_spec(package, None) is not None:
                return True
        except Exception:  # noqa: S112 - a finder may be anybody's
            continue
    return False


def _scripts() -> Iterator[str]:
    """Every `perfagent` on PATH, then those of pipx and uv, whose folder of commands may not be on PATH."""
    home = os.path.expanduser("~")
    share = os.environ.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share")
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    folders += [os.path.join(home, ".local", "bin"), os.path.join(share, "pipx", "venvs", "perfagent", "bin")]
    folders.append(os.path.join(share, "uv", "tools", "perfagent", "bin"))
    for folder in folders:
        path = os.path.join(folder, "perfagent")
        if os.path.isabs(folder) and os.access(path, os.X_OK) and os.path.isfile(path):
            yield os.path.realpath(path)


def _interpreter(script: str) -> str:
    """The interpreter in a script's first lines: `#!/path/python`, or pip's and uv's `exec` of it in a shell script,
    which is how they write a path that is long or has a space; "" where it is something else.
    """
    try:
        with open(script, "rb") as file:
            first, second = (*file.read(4096).decode("utf-8", "replace").splitlines(), "", "")[:2]
    except OSError:
        return ""
    path = first[2:].strip()
    if path == "/bin/sh":
        path = second.partition("exec' ")[2].partition(' "$0"')[0].strip("'\"")
    return path if first.startswith("#!") and os.path.basename(path).startswith("python") else ""


def _prefix(path: str) -> str:
    return os.path.dirname(os.path.dirname(path))


def _has_packages(*prefixes: str) -> bool:
    """Whether environments have a hub's packages, told by their folders alone: to ask an interpreter takes 50 ms."""
    sites = []
    for prefix in prefixes:
        for name in ("lib", "lib64", "local/lib"):
            library = os.path.join(prefix, name)
            versions = os.listdir(library) if os.path.isdir(library) else ()
            for version in versions:
                if version.startswith("python3"):
                    sites += [os.path.join(library, version, kind) for kind in ("site-packages", "dist-packages")]
    return all(any(os.path.exists(os.path.join(site, package)) for site in sites) for package in PACKAGES)


def environment(settings: Settings, folder: str) -> dict[str, str]:
    """The environment of a hub: what it needs of ours, and the options that the program's settings file has for it."""
    environ = {
        name: value
        for name, value in settings.environ.items()
        if name in KEPT or name.startswith(("LC_", "XDG_", "PERFAGENT_", "PERFORMANCE_"))
    }
    for option, value, origin in _hub_options(settings):
        if origin not in option.names and origin != "default":
            environ[option.name] = _text(value)
    environ["PERFAGENT_HUB_DIR"] = folder
    path = _python_path(settings.environ)
    if path:
        environ["PYTHONPATH"] = path
    return environ


def _hub_options(settings: Settings) -> Iterator[tuple[Any, object, str]]:
    for option in settings.options():
        if option.attribute.startswith(("hub", "retention", "remote")) or option.attribute in READ:
            yield option, *settings.lookup(option)


def _text(value: object) -> str:
    """A value as its variable has it."""
    if isinstance(value, dict):
        from urllib.parse import quote

        return ",".join(f"{key}={quote(text)}" for key, text in value.items())
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _python_path(environ: Mapping[str, str]) -> str:
    """The entry of PYTHONPATH that perfagent itself is imported from, if it is one; the program's own are left out,
    for a module of theirs may bear the name of one that the hub imports.
    """
    parent = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    entries = environ.get("PYTHONPATH", "").split(os.pathsep)
    return parent if parent in map(os.path.abspath, filter(None, entries)) else ""


def _log(folder: str) -> int:
    path = lock.log_path(folder)
    try:
        if os.path.exists(path) and os.path.getsize(path) > ROTATE:
            os.replace(path, f"{path}.1")
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        reason = f"{path} cannot be written: {error.strerror}; set PERFAGENT_HUB_DIR to another folder"
        raise Unavailable(reason, 5) from error


def _detach(words: list[str], environ: dict[str, str], place: Place, log: int) -> None:
    """Runs the command as nobody's child, in a session of its own, with our lock and socket and no other descriptor.

    Two forks, and the process between them ends at once: a program that waits for its children would else wait for
    the hub, and one that ends them would end it.
    """
    between = os.fork()
    if between:
        try:
            os.waitpid(between, 0)
        except ChildProcessError:  # it has ended, and where SIGCHLD is ignored nobody is told how
            pass
        return
    try:
        os.setsid()  # neither the terminal's Ctrl-C nor its end reaches the hub
        hub = os.fork()
        if hub:
            place.tell(hub)
        else:
            _become(words, environ, place, log)
    finally:
        os._exit(0)


def _become(words: list[str], environ: dict[str, str], place: Place, log: int) -> NoReturn:
    import _signal
    import fcntl

    nothing = os.open(os.devnull, os.O_RDONLY)
    # Above the numbers that they shall have first: one of them may bear another one's now.
    high = [
        fcntl.fcntl(descriptor, fcntl.F_DUPFD, 10)
        for descriptor in (nothing, log, log, place.lock, place.listener.fileno())
    ]
    for number, descriptor in enumerate(high):
        os.dup2(descriptor, number)
    os.closerange(LISTENER + 1, 65_536)
    os.chdir("/")
    os.umask(0o077)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    for number in (_signal.SIGINT, _signal.SIGHUP, _signal.SIGTERM):  # nohup and `&` leave some of them ignored
        _signal.signal(number, _signal.SIG_DFL)
    try:
        os.execve(words[0], words, environ)  # noqa: S606 - no shell
    except OSError as error:
        os.write(2, f"perfagent: {words[0]} cannot be run: {error.strerror}\n".encode())
        os._exit(1)
