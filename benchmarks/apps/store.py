"""Five SQL queries on an sqlite3 database in memory, one database a thread, and the count of requests served."""

from __future__ import annotations

import itertools
import sqlite3
import threading

_SCHEMA = """
create table customer (id integer primary key, name text, city text);
create table purchase (id integer primary key, customer_id integer, total real, seen integer default 0);
create index purchase_by_customer on purchase (customer_id);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 100)
  insert into customer select i, 'customer ' || i, 'city ' || (i % 7) from n;
with recursive n(i) as (select 1 union all select i + 1 from n where i < 400)
  insert into purchase (id, customer_id, total) select i, 1 + i % 100, i * 1.5 from n;
"""

_local = threading.local()
_ids = itertools.count()

served = {"/hello": 0, "/queries": 0, "/served": 0}


def five_queries() -> dict[str, object]:
    """Read a customer and what it bought, and mark one purchase as seen: four reads and a write, all parametrised.

    Every statement goes through `cursor.execute`, because that is the call that all of the agents trace.
    """
    connection = getattr(_local, "connection", None) or _connect()
    customer_id = 1 + next(_ids) % 100
    cursor = connection.cursor()
    cursor.execute("select name, city from customer where id = ?", (customer_id,))
    name, city = cursor.fetchone()
    cursor.execute("select id, total from purchase where customer_id = ? order by total desc limit 3", (customer_id,))
    purchases = cursor.fetchall()
    cursor.execute("select count(*), sum(total) from purchase where customer_id = ?", (customer_id,))
    count, total = cursor.fetchone()
    cursor.execute(
        "select c.name, p.total from customer c join purchase p on p.customer_id = c.id"
        " where c.city = ? and p.total > ? limit 3",
        (city, 10.0),
    )
    neighbours = cursor.fetchall()
    cursor.execute("update purchase set seen = seen + 1 where id = ?", (purchases[0][0],))
    return {"name": name, "count": count, "total": total, "best": purchases, "neighbours": neighbours}


def _connect() -> sqlite3.Connection:
    # Autocommit: the write is one statement and no transaction of its own, so that five queries are five queries.
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(_SCHEMA)
    _local.connection = connection
    return connection
