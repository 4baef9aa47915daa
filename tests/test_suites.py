"""The libraries' own test suites give the same results under perfagent as without it.

Each comes with the library's source distribution and runs in an environment of its own, bare and under the agent. A
test may fail in both (some do as root, or without a network). None may differ but those that see the trace context in a
request's headers, which is what an agent is for (without it they must give the same), and those that `EXPLAINED` names.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.matrices import record
from tests.servers import running_redis
from tests.suites import Suite, compare

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import RunProgram
    from tests.otlp import Receiver

DJANGO_SETTINGS = """
from test_sqlite import *
TEST_RUNNER = "suite_outcomes.DjangoRunner"
"""
TORNADO_CONFTEST = """
import logging
logging.getLogger("tornado.access").setLevel(logging.CRITICAL)  # as its own runner does: its tests forbid logs
"""

SUITES = {
    "Flask": Suite(
        "flask", "3.1.3", ("pytest<9", "asgiref", "greenlet", "python-dotenv", "cryptography"), least=400, spans=200
    ),
    "Starlette": Suite(
        "starlette",
        "1.10.0",
        ("starlette[full]", "httpx2[zstd]", "blockbuster", "opentelemetry-sdk", "trio", "importlib-metadata"),
        least=400,
        spans=200,
    ),
    "FastAPI": Suite(
        "fastapi",
        "0.165.0",
        (
            "fastapi[all]",
            "opentelemetry-instrumentation-fastapi",
            "opentelemetry-exporter-otlp-proto-http",
            "logfire",
            "sentry-sdk",
            "anyio[trio]",
            "dirty-equals",
            "flask",
            "inline-snapshot",
            "pwdlib[argon2]",
            "pyjwt",
            "sqlmodel",
            "strawberry-graphql",
            "typer",
            "a2wsgi",
            "pytest-timeout",
        ),
        least=1000,
        spans=500,
        timeout=1200,
        options=(
            *(f"--ignore=tests/{folder}" for folder in ("benchmarks", "memory_benchmarks", "test_tutorial")),
            "--ignore=tests/test_telemetry",  # sets up FastAPI's own exporters, which another agent's providers forbid
            "-o",
            "markers=xdist_group: runs beside the others",
        ),
        hidden=("fastapi",),
    ),
    "Django": Suite(
        "django",
        "5.2.19",
        (
            "aiosmtpd",
            "argon2-cffi",
            "bcrypt",
            "docutils",
            "jinja2",
            "Pillow",
            "pymemcache",
            "PyYAML",
            "redis",
            "tblib",
            "sqlparse",
            "tzdata",
        ),
        tests=(
            "handlers",
            "requests_tests",
            "responses",
            "middleware",
            "middleware_exceptions",
            "cache",
            "urlpatterns",
            "urlpatterns_reverse",
            "view_tests",
            "signals",
            "asgi",
            "wsgi",
            "async",
            "backends",
            "servers",
            "sessions_tests",
            "httpwrappers",
            "test_client",
            "test_client_regress",
            "transactions",
            "transaction_hooks",
            "basic",
            "queries",
            "file_uploads",
            "csrf_tests",
            "logging_tests",
            "conditional_processing",
            "dispatch",
            "db_utils",
        ),
        least=2000,
        spans=1000,
        runner=("runtests.py",),
        options=("--settings=suite_settings", "--parallel=1", "--noinput", "-v", "0"),
        folder="tests",
        hidden=("django",),
        files={"suite_settings.py": DJANGO_SETTINGS},
        timeout=1200,
        passing=0.9,
    ),
    "SQLAlchemy": Suite(
        "sqlalchemy",
        "2.1.9",
        ("sqlalchemy[asyncio,aiosqlite]", "pytest<10"),
        tests=(
            "test/engine",
            "test/dialect/sqlite",
            "test/ext/asyncio",
            "test/orm/test_session.py",
            "test/orm/test_unitofwork.py",
            "test/sql/test_resultset.py",
            "test/sql/test_query.py",
            "test/sql/test_insert_exec.py",
            "test/sql/test_returning.py",
            "test/orm/test_pickled.py",
        ),
        least=1000,
        spans=1000,
        options=("--maxfail=10000",),
        passing=0.7,
    ),
    "redis-py": Suite(
        "redis",
        "8.1.0",
        (
            "pytest-asyncio",
            "pytest-timeout",
            "numpy",
            "pybreaker",
            "xxhash",
            "ujson",
            "opentelemetry-sdk",
            "opentelemetry-exporter-otlp-proto-http",
            "aiohttp",
            "redis[jwt]",
            "pyopenssl",
            "cryptography",
        ),
        tests=(
            "tests/test_commands.py",
            "tests/test_pipeline.py",
            "tests/test_lock.py",
            "tests/test_scripting.py",
            "tests/test_asyncio/test_pipeline.py",
            "tests/test_asyncio/test_lock.py",
        ),
        least=400,
        spans=300,
        options=("-m", "not redismod and not onlycluster and not ssl and not cp_integration", "-o", "addopts="),
        hidden=("redis",),
        passing=0.5,
        timeout=1200,
    ),
    "httpx": Suite(
        "httpx",
        "0.28.1",
        (
            "httpx[brotli,cli,http2,socks,zstd]",
            "anyio<4.5",
            "chardet",
            "trio",
            "trio-typing",
            "trustme",
            "uvicorn<0.30",
            "cryptography",
            "pytest<9",
        ),
        least=1000,
        spans=300,
        hidden=("httpx",),
    ),
    "requests": Suite(
        "requests",
        "2.34.2",
        (
            "requests[socks]",
            "pytest-httpbin==2.1.0",
            "httpbin~=0.10.0",
            "pytest-mock",
            "trustme",
            "setuptools<80",
            "werkzeug",
        ),
        least=500,
        spans=100,
        options=("-o", "addopts="),
        passing=0.9,
    ),
    "urllib3": Suite(
        "urllib3",
        "2.8.0",
        (
            "urllib3[brotli,h2,socks,zstd]",
            "anyio[trio]",
            "httpx",
            "hypercorn",
            "pytest-socket",
            "pytest-timeout",
            "quart",
            "quart-trio",
            "trio",
            "cryptography",
            "idna",
            "pyopenssl",
            "trustme",
        ),
        tests=(
            *(
                f"test/test_{name}.py"
                for name in ("connectionpool", "poolmanager", "response", "retry", "util", "connection")
            ),
            *(
                f"test/with_dummyserver/test_{name}.py"
                for name in ("connectionpool", "poolmanager", "chunked_transfer")
            ),
        ),
        least=1000,
        spans=100,
        hidden=("src",),
        passing=0.9,
    ),
    "aiohttp": Suite(
        "aiohttp",
        "3.14.5",
        (
            "aiohttp[speedups]",
            "blockbuster",
            "isal",
            "trustme",
            "zlib_ng",
            "freezegun",
            "pytest-mock",
            "pytest-timeout",
            "proxy.py",
            "pytest-cov",
            "pytest_codspeed",
            "python-on-whales",
            "re-assert",
        ),
        tests=tuple(  # those of parsers, writers and headers are left out: no agent has a part in them
            f"tests/test_{name}.py"
            for name in (
                "classbasedview",
                "client_functional",
                "client_middleware",
                "client_request",
                "client_response",
                "client_session",
                "client_ws_functional",
                "connector",
                "imports",
                "leaks",
                "loop",
                "proxy_functional",
                "resolver",
                "run_app",
                "test_utils",
                "tracing",
                "urldispatch",
                "web_app",
                "web_exceptions",
                "web_functional",
                "web_log",
                "web_middleware",
                "web_protocol",
                "web_request_handler",
                "web_runner",
                "web_sendfile_functional",
                "web_server",
                "web_urldispatcher",
                "web_websocket_functional",
            )
        ),
        least=1500,
        spans=1000,
        hidden=("aiohttp",),
        options=("-o", "addopts=", "-m", "not dev_mode and not autobahn and not internal"),
        passing=0.9,
    ),
    "uvicorn": Suite(
        "uvicorn",
        "0.54.0",
        (
            "uvicorn[standard]",
            "pytest-mock",
            "trustme",
            "cryptography",
            "httpx2",
            "a2wsgi",
            "wsproto",
            "pytest-timeout",
            "zttp",
        ),
        least=500,
        spans=100,
        hidden=("uvicorn",),
        options=("-o", "addopts=", "--ignore=tests/benchmarks"),
        passing=0.8,
    ),
    "Werkzeug": Suite(
        "werkzeug",
        "3.1.9",
        ("cffi", "cryptography", "ephemeral-port-reserve", "pytest-timeout", "watchdog"),
        least=800,
        spans=0,  # those that start servers are left out
        hidden=("src",),
        options=("-m", "not dev_server"),
    ),
    "Celery": Suite(
        "celery",
        "5.7.0",
        (
            "celery[redis,yaml,msgpack,pymemcache,auth,sqlalchemy,pydantic,gevent,eventlet]",
            "pytest-subtests",
            "pytest-timeout",
            "pytest-click",
            "pytest-order",
            "pytest-celery",
            "pytest-rerunfailures",
            "freezegun",
            "boto3",
            "moto",
        ),
        tests=("t/unit/app", "t/unit/tasks", "t/unit/worker", "t/unit/concurrency"),
        least=1500,
        spans=1,
        hidden=("celery",),
        passing=0.9,
    ),
    "kombu": Suite(
        "kombu",
        "5.7.0",
        ("kombu[redis,yaml,msgpack]", "hypothesis<7", "pytest-freezer", "pymongo"),
        tests=("t/unit",),
        least=800,
        spans=0,
        hidden=("kombu",),
        passing=0.7,
        options=tuple(
            f"--ignore=t/unit/{name}"
            for name in (
                "asynchronous/aws",
                "transport/SQS",
                "transport/test_azurestoragequeues.py",
                "transport/test_gcpubsub.py",
            )
        ),
    ),
    "Tornado": Suite(
        "tornado",
        "6.6.1",
        ("pycurl", "pytest-timeout"),
        tests=("tornado/test",),
        least=1500,
        spans=300,
        options=("-o", "python_files=*_test.py", "--import-mode=importlib"),
        files={"conftest.py": TORNADO_CONFTEST},
        passing=0.85,  # a tenth is skipped: what base classes have for those made of them
    ),
    "Waitress": Suite(
        "waitress",
        "3.0.2",
        ("pytest-timeout",),
        least=600,
        spans=1,
        hidden=("src",),
        options=("-o", "addopts="),
    ),
    "Tenacity": Suite("tenacity", "9.2.1", ("tornado", "typeguard"), least=100, spans=0, hidden=("tenacity",)),
    "opentelemetry-api": Suite(
        "opentelemetry-api",
        "1.45.2",
        ("opentelemetry-sdk==1.45.2", "opentelemetry-test-utils"),
        least=250,
        spans=0,
        hidden=("src",),
        passing=0.9,
    ),
    "opentelemetry-sdk": Suite(
        "opentelemetry-sdk",
        "1.45.2",
        ("opentelemetry-test-utils", "flaky", "psutil"),
        tests=("tests/trace", "tests/metrics", "tests/context"),
        least=500,
        spans=0,
        hidden=("src",),
        passing=0.9,
    ),
}
EXPLAINED: dict[str, dict[str, str]] = {
    "uvicorn": {
        f"tests/test_server.py::test_reset_contextvars_asyncio[{protocol}]": (
            "It writes all variables of a request's context down as JSON; the request's span is one of them"
        )
        for protocol in ("h11", "httptools", "zttp")
    },
}
"""Why a test of a library's may differ, by library and test."""
IN_THE_GATE = "Flask"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.timeout(5000)
@pytest.mark.parametrize(
    "library",
    [pytest.param(name, marks=pytest.mark.slow if name == IN_THE_GATE else pytest.mark.nightly) for name in SUITES],
)
def test_a_librarys_own_suite_gives_the_same_results(
    library: str, receiver: Receiver, run_program: RunProgram, tmp_path: Path, stack: ExitStack
) -> None:
    suite = SUITES[library]
    if library == "redis-py":
        url, _ = stack.enter_context(running_redis())  # its tests empty it
        suite = replace(suite, options=(*suite.options, f"--redis-url={url}"))
    both = compare(suite, receiver, run_program, tmp_path)
    passed = [outcome.what for outcome in both.bare.values()].count("passed")
    differing = both.differing()
    record(
        "suites",
        f"{library} {suite.version}",
        tests=len(both.bare),
        passed=passed,
        different=len(differing),
        of_these_by_the_header_traceparent=len(both.by_header),
        of_these_explained=len(differing.keys() & EXPLAINED.get(library, {}).keys()),
        seconds_bare=both.seconds_bare,
        seconds_under=both.seconds_under,
    )
    explained = EXPLAINED.get(library, {}).keys() | both.by_header
    assert {name: pair for name, pair in differing.items() if name not in explained} == {}
    assert len(both.bare) >= suite.least
    assert passed >= suite.passing * len(both.bare)
    assert len(receiver.spans) >= suite.spans
