"""What programs do with PyMongo, sync and async; what they see is printed, to be compared.

Values and the server's error texts hold the word "secret".
"""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

from opentelemetry import trace
from pymongo import AsyncMongoClient, InsertOne, MongoClient, UpdateOne, WriteConcern, monitoring

below = trace.get_tracer("program").start_as_current_span
PORT = int(os.environ["PORT"])


def attempt(call: Any) -> str:
    try:
        return repr(call())
    except Exception as error:
        return f"{type(error).__module__}.{type(error).__qualname__}: {error}".replace(str(PORT), "PORT")


class Own(monitoring.CommandListener):
    """A listener of the program, which goes on getting all events."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.seen.append(event.command_name)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Takes no note."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        self.seen.append(f"{event.command_name} failed")


def sync() -> None:
    own = Own()
    client: MongoClient[dict[str, Any]] = MongoClient(
        "127.0.0.1", PORT, event_listeners=[own], serverSelectionTimeoutMS=20_000, retryReads=False, retryWrites=False
    )
    people = client.shop.people
    with below("documents"):
        print(client.admin.command("ping"))
        print(people.insert_one({"_id": 1, "name": "secret-a"}).inserted_id)
        print(people.insert_many([{"_id": number, "name": "secret-b"} for number in range(2, 9)]).inserted_ids)
        print(people.find_one({"name": "secret-a"}), len(list(people.find({"name": "secret-b"}, batch_size=3))))
        print(people.update_many({"name": "secret-b"}, {"$set": {"name": "secret-c"}}).modified_count)
        print(list(people.aggregate([{"$match": {"name": "secret-c"}}, {"$count": "n"}])))
        print(people.delete_one({"_id": 1}).deleted_count)
    with below("bulk"):
        print(
            people.bulk_write(
                [InsertOne({"_id": 20}), UpdateOne({"_id": 20}, {"$set": {"name": "secret"}})]
            ).inserted_count
        )
        print(people.with_options(write_concern=WriteConcern(0)).insert_one({"_id": 30, "name": "secret"}).acknowledged)
    with below("failures"):
        print(attempt(lambda: people.insert_one({"_id": 2, "name": "secret"})))
        print(attempt(lambda: client.shop.command("unheardOf", "secret")))
        print(attempt(lambda: client.shop.broken.find_one({"name": "secret"}))[:60])
    thread = threading.Thread(target=in_a_thread, args=(people,))
    thread.start()
    thread.join()
    print(own.seen)
    client.close()


def in_a_thread(people: Any) -> None:
    with below("thread"):
        print(people.find_one({"_id": 3}))


async def asynchronous() -> None:
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient("127.0.0.1", PORT)
    with below("async"):
        print((await client.shop.pets.insert_one({"_id": 1, "name": "secret"})).inserted_id)
        print([document async for document in client.shop.pets.find({"name": "secret"})])
    await asyncio.gather(*(task(client, number) for number in range(3)))
    await client.close()


async def task(client: Any, number: int) -> None:
    with below(f"task {number}"):
        await client.shop[f"collection_{number}"].find_one({"name": "secret"})


if __name__ == "__main__":
    sync()
    asyncio.run(asynchronous())
