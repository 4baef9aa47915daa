"""What programs do with clickhouse-connect, sync and async; what they see is printed, to be compared.

Values, the password and the server's error texts hold the word "secret".
"""

from __future__ import annotations

import asyncio
import inspect
import os
from typing import Any

import clickhouse_connect
from opentelemetry import trace

below = trace.get_tracer("program").start_as_current_span
SERVER: dict[str, Any] = {
    "host": "127.0.0.1", "port": int(os.environ["PORT"]), "username": "tester", "password": "opensesame",
    "database": "shop", "compress": False,
}  # fmt: skip


def attempt(call: Any) -> str:
    try:
        return repr(call())
    except Exception as error:
        return f"{type(error).__module__}.{type(error).__qualname__}: {error}"


def sync() -> None:
    client = clickhouse_connect.get_client(**SERVER)
    with below("statements"):
        print(client.query("SELECT id FROM users WHERE name = 'it\\'s secret' AND id = 5").result_rows)
        print(client.query("SELECT id FROM users WHERE name = %(name)s", parameters={"name": "secret"}).result_rows)
        print(client.query("SELECT id FROM users WHERE name = {name:String}", parameters={"name": "secret"}).row_count)
        print(type(client.command("CREATE TABLE users (id UInt8, name String) ENGINE MergeTree ORDER BY id")).__name__)
        print(client.command("SELECT count() FROM users"), client.raw_query("SELECT 'secret'", fmt="CSV"))
        client.command('INSERT INTO users FORMAT JSONEachRow {"id": 1, "name": "secret"}')
        with client.query_rows_stream("SELECT id FROM users") as stream:
            print(list(stream))
    with below("insert"):
        client.insert("users", [[1, "secret-a"], [2, "secret-b"]], column_names=["id", "name"])
        client.raw_insert("users", ["id", "name"], "3,secret\n", fmt="CSV")
    with below("failures"):
        failed = attempt(lambda: client.query("SELECT * FROM nowhere WHERE name = 'secret' AND token = 7654321"))
        print(failed.replace(str(SERVER["port"]), "PORT"), attempt(lambda: client.command())[:30])
    print(type(client).__name__, inspect.signature(client.command), client.ping())
    client.close()


async def asynchronous() -> None:
    client = await clickhouse_connect.get_async_client(**SERVER)
    with below("async"):
        print((await client.query("SELECT id FROM users WHERE name = 'secret'")).result_rows)
        print(await client.command("SELECT count() FROM users"))
        await client.insert(
            "users", [[1, "secret-a"]], column_names=["id", "name"], column_type_names=["UInt8", "String"]
        )
    await asyncio.gather(*(task(client, number) for number in range(3)))
    print(asyncio.iscoroutinefunction(client.command), asyncio.iscoroutinefunction(client.query))
    await client.close()


async def task(client: Any, number: int) -> None:
    with below(f"task {number}"):
        await client.query(f"SELECT id AS n{number} FROM users")


if __name__ == "__main__":
    sync()
    asyncio.run(asynchronous())
