"""What programs do with Elasticsearch, sync and async; what they see is printed, to be compared.

Values, identifiers and the server's error texts hold the word "secret".
"""

from __future__ import annotations

import asyncio
import inspect
import os
from typing import Any

from opentelemetry import trace

from elasticsearch import AsyncElasticsearch, Elasticsearch, helpers

if os.environ.get("OWN_TRACING"):
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

    provider = TracerProvider()
    exporter = ConsoleSpanExporter(formatter=lambda span: f"{span.instrumentation_scope.name} {span.name}\n")
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)

below = trace.get_tracer("program").start_as_current_span
SERVER = f"http://tester:opensesame@127.0.0.1:{os.environ['PORT']}"


def attempt(call: Any) -> str:
    try:
        return repr(call())
    except Exception as error:
        return f"{type(error).__module__}.{type(error).__qualname__}: {error}".replace(os.environ["PORT"], "PORT")


def sync() -> None:
    client = Elasticsearch(SERVER, request_timeout=20)
    with below("documents"):
        print(client.indices.create(index="people"))
        print(client.index(index="people", id="secret-1", document={"name": "secret-a"}).body)
        print(client.get(index="people", id="secret-1")["_source"], client.exists(index="people", id="secret-0"))
        print(client.search(index="people", query={"match": {"name": "secret"}}, q="name:secret")["hits"]["total"])
        print(client.search(index=["people", "pets"], size=1).meta.status, client.info()["version"])
        print(client.cluster.health()["status"])
    with below("raw"):
        found = client.perform_request("GET", "/people/_search?q=secret", headers={"accept": "application/json"})
        print(found.meta.status)
    with below("bulk"):
        actions = [{"_index": "people", "_id": f"secret-{number}", "name": "secret"} for number in range(4)]
        print(helpers.bulk(client, actions, chunk_size=2))
    with below("failures"):
        print(attempt(lambda: client.get(index="people", id="secret-99")))
        print(attempt(lambda: client.get(index="none", id="1")))
        print(attempt(lambda: client.search(index="refused", q="secret")))
        print(client.options(ignore_status=404).get(index="people", id="secret-99").meta.status)
        print(attempt(lambda: Elasticsearch("http://127.0.0.1:1", max_retries=0).info())[:60])
    print(inspect.signature(client.transport.perform_request), client.transport.perform_request.__name__)
    client.close()


async def asynchronous() -> None:
    client = AsyncElasticsearch(SERVER)
    with below("async"):
        print((await client.index(index="people", id="secret-9", document={"name": "secret"})).meta.status)
        print((await client.search(index="people", query={"match_all": {}}))["hits"]["total"])
    await asyncio.gather(*(task(client, number) for number in range(3)))
    print(asyncio.iscoroutinefunction(client.transport.perform_request))
    await client.close()


async def task(client: Any, number: int) -> None:
    with below(f"task {number}"):
        await client.count(index=f"index-{number}")


if __name__ == "__main__":
    sync()
    asyncio.run(asynchronous())
