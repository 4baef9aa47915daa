"""Where the market keeps what it knows: PostgreSQL, and Redis in front of it."""

from __future__ import annotations

import json
import logging
import os
from typing import TYPE_CHECKING, Annotated, Any

import redis
from fastapi import Depends
from sqlalchemy import Connection, create_engine, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

engine = create_engine(
    os.environ.get("MARKET_DATABASE", "postgresql+psycopg://127.0.0.1/market"),
    pool_size=int(os.environ.get("MARKET_POOL", "6")),
    max_overflow=0,
    pool_timeout=3,
    connect_args={"options": "-c lock_timeout=4s -c max_parallel_workers_per_gather=0"},
)
kept = redis.Redis.from_url(
    os.environ.get("MARKET_REDIS", "redis://127.0.0.1:6379/0"), socket_timeout=0.2, socket_connect_timeout=0.2
)
logger = logging.getLogger(__name__)


def connect() -> Iterator[Connection]:
    """A connection of the pool, for as long as the request needs it."""
    with engine.connect() as connection:
        yield connection


Database = Annotated[Connection, Depends(connect)]


def rows(database: Connection, statement: str, **values: Any) -> list[dict[str, Any]]:
    """What a statement finds."""
    return [dict(row) for row in database.execute(text(statement), values).mappings()]


def remembered(key: str, compute: Callable[[], Any], seconds: int = 60) -> Any:
    """What is kept under a key, computed and kept where it is missing; without Redis it is computed each time."""
    try:
        found = kept.get(key)
        if found is not None:
            return json.loads(found)
    except redis.RedisError as error:
        logger.warning("nothing is kept: %s", error)
        return compute()
    value = compute()
    kept.set(key, json.dumps(value, default=str), ex=seconds)
    return value
