"""The calls of the tests of pymemcache: `python memcache_calls.py HOST:PORT REFUSED_PORT`."""

from __future__ import annotations

import pickle
import sys
from typing import Any

from pymemcache import exceptions, serde
from pymemcache.client.base import Client, PooledClient
from pymemcache.client.hash import HashClient
from pymemcache.client.retrying import RetryingClient


def show(call: Any, *args: Any, **options: Any) -> None:
    try:
        print(call(*args, **options))
    except Exception as error:
        print(type(error).__module__, type(error).__qualname__, isinstance(error, exceptions.MemcacheError))


def main(host: str, port: int, refused: int) -> None:
    client = Client((host, port), key_prefix=b"secret-", default_noreply=False, serde=serde.pickle_serde)
    client.flush_all()
    show(client.set, "key", {"value": "secret"})
    show(client.get, "key")
    show(client.get, "missing", "default")
    show(client.get_many, ["key", "missing", "other"])
    show(client.set_many, {"a": 1, "b": 2})
    show(lambda: client.gets("a")[0])
    show(client.cas, "a", 3, client.gets("a")[1])
    show(client.delete, "b")
    show(client.delete_many, ["a", "secret-other"])
    show(client.add, "number", "1", noreply=True)
    show(client.incr, "number", 2)
    show(client.touch, "number", 100)
    show(client.get, "a secret key with spaces")
    show(client.incr, "key", 1)
    show(client.raw_command, b"mn secret-command")
    show(lambda: "threads" in {name.decode() for name in client.stats()})
    print(pickle.loads(pickle.dumps(Client._fetch_cmd)) is Client._fetch_cmd)

    pool = PooledClient((host, port), max_pool_size=2)
    show(pool.set, "pooled", "secret")
    show(pool.get, "pooled")
    ring = HashClient([(host, port)], use_pooling=True, ignore_exc=True)
    show(ring.set, "hashed", "secret")
    show(ring.get_many, ["hashed", "pooled", "missing"])
    show(RetryingClient(pool, attempts=2).get, "hashed")

    gone = Client((host, refused))
    show(gone.get, "secret")
    show(Client((host, refused), ignore_exc=True).get, "secret")


if __name__ == "__main__":
    address, _, number = sys.argv[1].rpartition(":")
    main(address, int(number), int(sys.argv[2]))
