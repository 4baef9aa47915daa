"""Django's ORM: exactly one span for each statement that it sends, whichever driver it sends it by."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.servers import need_mysqlclient

if TYPE_CHECKING:
    from tests.conftest import RunText
    from tests.otlp import Receiver
    from tests.servers import MysqlServer

pytestmark = pytest.mark.slow

CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")

PROGRAM = """
    import django, os
    from django.conf import settings
    database = {"ENGINE": "django.db.backends." + os.environ["ENGINE"], "NAME": os.environ["NAME"]}
    for name in ("HOST", "PORT", "USER", "PASSWORD"):
        if name in os.environ:
            database[name] = os.environ[name]
    settings.configure(DEBUG=True, DATABASES={"default": database}, INSTALLED_APPS=["django.contrib.contenttypes"])
    django.setup()
    from django.contrib.contenttypes.models import ContentType
    from django.db import connection, transaction
    from opentelemetry import trace
    connection.ensure_connection()
    with connection.schema_editor() as editor:
        editor.create_model(ContentType)
    connection.queries_log.clear()
    with trace.get_tracer("program").start_as_current_span("orm"):
        with transaction.atomic():
            ContentType.objects.bulk_create([ContentType(app_label="secret", model=f"m{n}") for n in range(3)])
            ContentType.objects.filter(app_label="secret", model="m1").update(model="m9")
        print(ContentType.objects.filter(model__in=["m0", "m9"]).count(), ContentType.objects.get(model="m2").app_label)
        list(ContentType.objects.filter(model__contains="secret").iterator())
        ContentType.objects.all().delete()
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO django_content_type (app_label, model) VALUES (%s, %s)", [("a", "b"), ("c", "d")]
            )
            cursor.execute("DROP TABLE django_content_type")
    control = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")
    sent = [query["sql"] for query in connection.queries if not query["sql"].upper().startswith(control)]
    print("statements", len(sent))
"""


@pytest.fixture(params=["mysqlclient", "psycopg", "sqlite3"])
def driver(request: pytest.FixtureRequest) -> tuple[str, dict[str, str]]:
    """A driver's instrument and the variables that choose it."""
    name = str(request.param)
    if name == "mysqlclient":
        need_mysqlclient()
        server: MysqlServer = request.getfixturevalue("mysql_server")
        address = {"HOST": server.host, "PORT": str(server.port), "USER": server.user, "PASSWORD": server.password}
        return name, {"ENGINE": "mysql", "NAME": server.database, **address}
    if name == "psycopg":
        url = urlsplit(request.getfixturevalue("postgres_url"))
        address = {"HOST": str(url.hostname), "PORT": str(url.port), "USER": str(url.username)}
        return name, {"ENGINE": "postgresql", "NAME": "shop", **address}
    return name, {"ENGINE": "sqlite3", "NAME": ":memory:"}


def test_each_statement_of_the_orm_is_one_span_of_its_driver(
    driver: tuple[str, dict[str, str]], run_text: RunText, receiver: Receiver
) -> None:
    name, env = driver
    program = run_text(PROGRAM, **env)
    receiver.wait_until_quiet(0.2)
    (above,) = [span for span in receiver.spans if span.name == "orm"]
    spans = [span for span in receiver.spans if span.parent_id == above.span_id]
    # With DEBUG, Django asks SQLite to quote the parameters that it logs; what begins and ends a transaction it sends
    # as a statement in some databases.
    spans = [
        span for span in spans if not str(span.attributes["db.query.text"]).startswith(("SELECT QUOTE(", *CONTROL))
    ]
    assert program.stdout.splitlines() == ["2 secret", f"statements {len(spans)}"]
    assert {span.scope.name for span in spans} == {f"perfagent.{name}"}
    assert {span.kind for span in spans} == {"CLIENT"}
    assert not [span for span in receiver.spans if span.parent_id in {one.span_id for one in spans}]
