"""Every kind of call that redis-py offers, sync and asyncio; what the program sees is printed, to be compared.

Keys and values all hold the word "secret", which must not be found in anything exported.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import pickle
import sys
import threading
from typing import Any

import redis
import redis.asyncio

URL = os.environ["REDIS_URL"].removesuffix("/0")
REFUSED = int(os.environ["REFUSED_PORT"])


def attempt(call: Any) -> str:
    try:
        return repr(call())
    except Exception as error:
        return f"{type(error).__name__}: {error}"


async def attempt_async(call: Any) -> str:
    try:
        return repr(await call)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def sync() -> None:
    client = redis.Redis.from_url(f"{URL}/3")
    client.set("secret-key", "secret-value")
    print(client.get("secret-key"), client.get("secret-none"))
    print(client.mget(["secret-key", "secret-none", "secret-no"]))
    print(client.exists("secret-key", "secret-none"))
    client.hset("secret-hash", "secret-field", "secret-value")
    print(client.hget("secret-hash", "secret-field"), client.hget("secret-hash", "secret-absent"))
    print(client.execute_command("SET secret-inline secret-value"), client.execute_command("get", "secret-inline"))
    print(client.config_get("maxmemory-policy").keys(), client.memory_usage("secret-key") > 0)
    print(client.mget([f"secret-{number}" for number in range(40)])[:1])

    with client.pipeline(transaction=False) as pipe:
        print(pipe.get("secret-key").get("secret-none").get("secret-key").execute())
    with client.pipeline() as pipe:
        print(pipe.set("secret-a", "secret-b").incr("secret-count").execute())
    with client.pipeline() as pipe:
        print(pipe.getdel("secret-a").execute())
    with client.pipeline(transaction=False) as pipe:
        for _ in range(40):
            pipe.echo("secret")
        print(len(pipe.execute()), pipe.execute())
    with client.pipeline(transaction=False) as pipe:
        print(pipe.lpush("secret-key", "secret-item").get("secret-key").execute(raise_on_error=False)[1])

    print(attempt(lambda: client.lpush("secret-key", "secret-item")))
    print(attempt(lambda: client.execute_command("NOSUCH", "secret-argument")))
    with client.pipeline(transaction=False) as pipe:
        pipe.ping().lpush("secret-key", "secret-item")
        print(attempt(pipe.execute))
    with client.pipeline() as pipe:
        pipe.watch("secret-key")
        print(pipe.get("secret-key"))
        client.set("secret-key", "secret-other")
        pipe.multi()
        pipe.strlen("secret-key").dbsize()
        print(attempt(pipe.execute))
    refused = redis.Redis(port=REFUSED, retry=None)
    print(attempt(lambda: refused.getrange("secret-key", 0, 1)).partition(".")[0])

    script = client.register_script("return redis.call('append', KEYS[1], ARGV[1])")
    print(script(keys=["secret-script"], args=["secret-value"]))
    with client.lock("secret-lock", timeout=5):
        pass
    pushing = threading.Timer(0.05, client.rpush, ("secret-list", "secret-item"))
    pushing.start()
    print(client.blpop("secret-list", timeout=5))
    pushing.join()
    listener = client.pubsub(ignore_subscribe_messages=True)
    listener.subscribe("secret-channel")
    listener.get_message(timeout=5)
    client.publish("secret-channel", "secret-message")
    print(listener.get_message(timeout=5)["data"])
    listener.close()
    print(sum(1 for _ in client.scan_iter("secret-*")) > 3)

    print(inspect.signature(redis.Redis.execute_command), redis.Redis.execute_command.__qualname__)
    print(pickle.loads(pickle.dumps(redis.Redis.get)) is redis.Redis.get)
    client.delete("secret-key")
    client.flushdb()


class Prefixed(redis.Redis):
    """A client of the program's own."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        return "own", super().execute_command(*args, **options)


async def asynchronous() -> None:
    client = redis.asyncio.Redis.from_url(f"{URL}/4")
    await client.set("secret-key", "secret-value")
    print(await client.get("secret-key"), await client.get("secret-none"))
    async with client.pipeline(transaction=False) as pipe:
        print(await pipe.get("secret-key").get("secret-none").execute())
    async with client.pipeline() as pipe:
        print(await pipe.set("secret-a", 1).incr("secret-a").execute())
    print(await attempt_async(client.lpush("secret-key", "secret-item")))
    async with client.pipeline(transaction=False) as pipe:
        pipe.ping().lpush("secret-key", "secret-item")
        print(await attempt_async(pipe.execute()))
    waiting = asyncio.create_task(client.blpop("secret-list", timeout=5))
    await asyncio.sleep(0.05)
    await client.rpush("secret-list", "secret-item")
    print(await waiting)
    cancelled = asyncio.create_task(client.brpop("secret-nothing", timeout=5))
    await asyncio.sleep(0.05)
    cancelled.cancel()
    print(await asyncio.gather(cancelled, return_exceptions=True))
    async with client.pubsub(ignore_subscribe_messages=True) as listener:
        await listener.subscribe("secret-channel")
        await listener.get_message(timeout=5)
        await client.publish("secret-channel", "secret-message")
        print((await listener.get_message(timeout=5))["data"])
    print(inspect.iscoroutinefunction(redis.asyncio.Redis.execute_command))
    await client.flushdb()
    await client.aclose()


def others() -> None:
    """Clients of a cluster and of a master that Sentinel knows."""
    from redis.asyncio.cluster import RedisCluster as AsyncCluster
    from redis.cluster import RedisCluster
    from redis.sentinel import Sentinel

    cluster = RedisCluster("127.0.0.1", int(os.environ["CLUSTER_PORT"]))
    cluster.set("secret-key", "secret-value")
    print(cluster.get("secret-key"), cluster.get("secret-none"))
    with cluster.pipeline() as pipe:
        print(pipe.get("secret-key").strlen("secret-key").execute())

    async def in_cluster() -> None:
        client = AsyncCluster("127.0.0.1", int(os.environ["CLUSTER_PORT"]))
        print(await client.getrange("secret-key", 0, 2))
        async with client.pipeline() as pipe:
            print(await pipe.get("secret-key").get("secret-none").execute())
        await client.aclose()

    asyncio.run(in_cluster())
    sentinel = Sentinel([("127.0.0.1", int(os.environ["SENTINEL_PORT"]))])
    master = sentinel.master_for("shop")
    print(master.incr("secret-count"))


if __name__ == "__main__":
    if sys.argv[1] == "sync":
        sync()
        print(Prefixed.from_url(f"{URL}/3").time()[0])
    elif sys.argv[1] == "asynchronous":
        asyncio.run(asynchronous())
    else:
        others()
