"""What programs do with SQLAlchemy, sync and async; what they see is printed, to be compared.

The database is the argument `URL`; values hold the word "secret". Told to wait, it does so with a connection in use.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import time
from typing import Any

import sqlalchemy as sa
from opentelemetry import trace
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import QueuePool

tracer = trace.get_tracer("program")
URL = os.environ["URL"]


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "people"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(sa.String(40), unique=True)


def attempt(call: Any) -> str:
    try:
        return repr(call())
    except sa.exc.DBAPIError as error:
        return f"{type(error).__name__} {type(error.orig).__mro__[0].__name__} {str(error.orig)[:30]!r}"


def sync() -> None:
    engine = sa.create_engine(URL)
    print(type(engine).__name__, type(engine.pool).__name__, engine)
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    with tracer.start_as_current_span("session"), Session(engine) as session:
        session.add_all([User(id=1, name="secret-a"), User(id=2, name="secret-b")])
        session.commit()
        print(session.scalars(sa.select(User.name).where(User.name != "secret").order_by(User.id)).all())
    with tracer.start_as_current_span("core"), engine.connect() as connection:
        print(connection.execute(sa.text("SELECT count(*) FROM people WHERE name = 'secret-a'")).scalar())
        rows = [{"id": number, "name": f"secret-{number}"} for number in (10, 11, 12)]
        print(connection.execute(sa.text("INSERT INTO people VALUES (:id, :name)"), rows).rowcount)
        print(connection.exec_driver_sql("SELECT 'secret'").scalar())
        print(connection.execution_options(logging_token="mine").scalar(sa.text("SELECT 5")))
        connection.rollback()
    with tracer.start_as_current_span("failures"):
        for statement in ("INSERT INTO people VALUES (1, 'secret-a')", "SELECT * FROM nowhere WHERE name = 'secret'"):
            with engine.connect() as connection:
                print(attempt(lambda: connection.execute(sa.text(statement))))  # noqa: B023
    engine.dispose()


def asynchronous() -> None:
    asyncio.run(_asynchronous())


async def _asynchronous() -> None:
    engine = create_async_engine(URL)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)
    with tracer.start_as_current_span("session"):
        async with AsyncSession(engine) as session:
            session.add_all([User(id=1, name="secret-a"), User(id=2, name="secret-b")])
            await session.commit()
            print((await session.scalars(sa.select(User.name).order_by(User.id))).all())
            print([row async for row in await session.stream(sa.text("SELECT id FROM people ORDER BY id"))])
    with tracer.start_as_current_span("failures"):
        try:
            async with engine.begin() as connection:
                await connection.execute(sa.text("SELECT * FROM nowhere WHERE name = 'secret'"))
        except sa.exc.DBAPIError as error:
            print(type(error).__name__)
    await engine.dispose()


def pools() -> None:
    engine = sa.create_engine(URL, pool_size=3, max_overflow=4, pool_pre_ping=True)
    held = [engine.connect() for _ in range(2)]
    engine.connect().close()
    held[1].close()
    named = sa.create_engine("sqlite://", poolclass=QueuePool, pool_logging_name="named", max_overflow=-1)
    named.connect().close()
    gone = sa.create_engine("sqlite://", poolclass=QueuePool, pool_logging_name="gone")
    gone.connect().close()
    del gone
    gc.collect()  # an engine is part of cycles
    unpooled = sa.create_engine(URL, poolclass=sa.NullPool, pool_logging_name="unpooled")
    unpooled.connect().close()
    print("ready", flush=True)
    time.sleep(float(os.environ.get("WAIT", "0")))
    held[0].close()


def waits() -> None:
    engine = sa.create_engine(URL, pool_size=1, max_overflow=0, pool_timeout=0.5, pool_logging_name="small")
    held = engine.connect()
    try:
        engine.execution_options(isolation_level="AUTOCOMMIT").connect()
    except sa.exc.TimeoutError:
        print("in vain", flush=True)
    patient = sa.create_engine(URL, pool_size=1, max_overflow=0, pool_logging_name="patient")
    other = patient.connect()
    thread = threading.Thread(target=lambda: patient.connect().close())
    thread.start()
    time.sleep(float(os.environ.get("WAIT", "0")))
    other.close()
    held.close()
    thread.join()


if __name__ == "__main__":
    globals()[sys.argv[1]]()
