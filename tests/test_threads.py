"""Threads, pools and tasks: their work is part of the trace that started it, and of no other one afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import RunText
    from tests.otlp import Receiver, Span

HEAD = """
import contextvars, sqlite3, threading
from opentelemetry import baggage, context, trace
tracer = trace.get_tracer("shop")

def query(name):
    connection = sqlite3.connect(":memory:")
    connection.execute(f"select 1 as the_{name}").fetchall()
    connection.close()
    return name

def request(name):
    return tracer.start_as_current_span(name)
"""


def run(run_text: RunText, text: str, **env: str) -> str:
    return run_text(HEAD + "\n" + text, **env).stdout


def parents(receiver: Receiver) -> dict[str, str]:
    """The name of the span above each query, by the query's own name; "" for a root."""
    names = {span.span_id: span.name for span in receiver.spans}
    found: dict[str, str] = {}
    for span in receiver.spans:
        if "db.query.text" in span.attributes:
            name = _name(span)
            assert name not in found, f"{name} has two spans"
            found[name] = names[span.parent_id] if span.parent_id else ""
    return found


def _name(span: Span) -> str:
    return str(span.attributes["db.query.text"]).rpartition(" the_")[2]


def test_work_handed_to_a_pool_is_a_child_of_who_hands_it_over(run_text: RunText, receiver: Receiver) -> None:
    run(run_text, """
from concurrent.futures import ThreadPoolExecutor
pool = ThreadPoolExecutor(1)
pool.submit(query, "before").result()
with request("first"):
    pool.submit(query, "one").result()
    assert list(pool.map(query, ["two", "three"])) == ["two", "three"]
with request("second"):
    waiting = pool.submit(query, name="four")
pool.submit(query, "after").result()
waiting.result()
""")  # fmt: skip
    assert parents(receiver) == {
        "before": "", "one": "first", "two": "first", "three": "first", "four": "second", "after": "",
    }  # fmt: skip


def test_a_pool_s_thread_that_a_request_starts_inherits_nothing(run_text: RunText, receiver: Receiver) -> None:
    run(run_text, """
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
with request("first"):
    pool, other = ThreadPoolExecutor(1), ThreadPool(1)
    pool.submit(query, "one").result()
    other.apply(query, ("two",))
pool.submit(query, "later").result()
other.apply(query, ("even_later",))
with request("second"):
    pool.submit(query, "three").result()
    other.apply(query, ["four"])
other.close(); other.join()
""")  # fmt: skip
    assert parents(receiver) == {
        "one": "first", "two": "first", "later": "", "even_later": "", "three": "second", "four": "second",
    }  # fmt: skip


def test_every_way_into_a_thread_pool_of_multiprocessing_carries(run_text: RunText, receiver: Receiver) -> None:
    printed = run(run_text, """
from multiprocessing.pool import ThreadPool
with ThreadPool(2) as pool, request("first"):
    print(pool.map(query, ["a1", "a2", "a3"]), list(pool.imap(query, ["b"])), list(pool.imap_unordered(query, ["c"])))
    print(pool.starmap(query, [("d",)]), pool.apply_async(func=query, args=("e",)).get())
    print(pool.map_async(query, ["f"]).get())
""")  # fmt: skip
    assert printed == "['a1', 'a2', 'a3'] ['b'] ['c']\n['d'] e\n['f']\n"
    assert parents(receiver) == dict.fromkeys(("a1", "a2", "a3", "b", "c", "d", "e", "f"), "first")


def test_threads_and_timers_inherit_whatever_their_class_overrides(run_text: RunText, receiver: Receiver) -> None:
    run(run_text, """
class Own(threading.Thread):
    def run(self):
        query("own")
with request("first"):
    threads = [
        threading.Thread(target=query, args=("plain",)), threading.Timer(0.01, query, ["timer"]), Own(),
        threading.Thread(target=lambda: [threading.Thread(target=query, args=("nested",)).start(), query("outer")]),
    ]
    for thread in threads:
        thread.start()
for thread in threads:
    thread.join()
assert all("run" not in vars(thread) for thread in threads)
alone = threading.Thread(target=query, args=("alone",)); alone.start(); alone.join()
""")  # fmt: skip
    assert parents(receiver) == {
        "plain": "first", "timer": "first", "own": "first", "outer": "first", "nested": "first", "alone": "",
    }  # fmt: skip


SHORT = """
from perfagent.runtime import context as ours
ours.LATE = 50_000_000
import time
def late():
    time.sleep(0.12)
"""


def test_a_loop_that_a_request_has_started_leaves_its_trace(run_text: RunText, receiver: Receiver) -> None:
    printed = run(run_text, SHORT + """
def loop():
    query("within")
    ended.wait()
    query("soon")
    late()
    for name in ("late", "later"):
        with tracer.start_as_current_span("round"):
            query(name)
        query("beside_" + name)
    print(trace.get_current_span().get_span_context().is_valid, repr(ours.current.get().lender))
ended = threading.Event()
with request("first"):
    thread = threading.Thread(target=loop)
    thread.start()
    late()  # as long as the request lasts, it does not matter how long that is
    query("main")
ended.set()
thread.join()
""")  # fmt: skip
    assert printed == "False None\n"
    found = parents(receiver)
    assert found == {
        "within": "first", "soon": "first", "main": "first", "late": "round", "later": "round",
        "beside_late": "", "beside_later": "",
    }  # fmt: skip
    rounds = [span for span in receiver.spans if span.name == "round"]
    assert [span.parent_id for span in rounds] == ["", ""]
    assert len({span.trace_id for span in receiver.spans}) == 5


def test_what_starts_itself_again_and_again_leaves_the_trace_too(run_text: RunText, receiver: Receiver) -> None:
    run(run_text, SHORT + """
from concurrent.futures import ThreadPoolExecutor
pool, done = ThreadPoolExecutor(1), threading.Event()
def again(count):
    query(f"timer{count}")
    if count < 3:
        threading.Timer(0.12, again, [count + 1]).start()
    else:
        done.set()
def resubmit(count):
    query(f"pool{count}")
    late()
    return pool.submit(resubmit, count + 1) if count < 2 else None
with request("first"):
    again(0)
    following = pool.submit(resubmit, 0)
done.wait()
while following:
    following = following.result()
""")  # fmt: skip
    found = parents(receiver)
    assert {found[name] for name in ("timer0", "timer1", "pool0")} == {"first"}
    assert {found[name] for name in ("timer3", "pool2")} == {""}


def test_work_that_waits_for_long_in_a_queue_still_belongs_to_its_request(
    run_text: RunText, receiver: Receiver
) -> None:
    run(run_text, SHORT + """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(1) as pool:
    pool.submit(late)
    with request("first"):
        pool.submit(query, "queued")
""")  # fmt: skip
    assert parents(receiver) == {"queued": "first"}


def test_the_program_s_own_context_is_left_alone(run_text: RunText) -> None:
    text = """
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
own = contextvars.ContextVar("own", default="unset")
def look():
    own.set(own.get() + "!")
    return own.get()
with ThreadPoolExecutor(1) as pool, ThreadPool(1) as other, request("first"):
    own.set("request")
    print(pool.submit(look).result(), pool.submit(look).result(), other.apply(look), other.apply(look))
    thread = threading.Thread(target=lambda: print(look())); thread.start(); thread.join()
    print(own.get())
    try: pool.submit(lambda: {}["gone"]).result()
    except KeyError as error:
        frames, trace_back = [], error.__traceback__
        while trace_back:
            frames.append(trace_back.tb_frame.f_code.co_name); trace_back = trace_back.tb_next
        print(repr(error), frames[-1])
    try: pool.submit(None).result()
    except TypeError as error: print(error)
    try: thread.start()
    except RuntimeError as error: print(error, "run" in vars(thread))
    import inspect
    for function in (ThreadPoolExecutor.submit, ThreadPool.apply_async, ThreadPool.imap, threading.Thread.start):
        print(function.__qualname__, inspect.signature(function), function.__doc__)
"""
    assert run_text(HEAD + text).stdout == run_text(HEAD + text, bare=True).stdout


def test_an_executor_may_send_its_work_elsewhere(run_text: RunText) -> None:
    """One of interpreters (Python 3.14) pickles what a ThreadPoolExecutor calls."""
    text = """
import copy, math, pickle, queue
from concurrent.futures import ThreadPoolExecutor
class Pickling(queue.SimpleQueue):
    def put(self, item):
        if item is not None:
            work = item.fn if hasattr(item, "fn") else item.task[0]
            print(pickle.loads(pickle.dumps(work)), copy.copy(work))
        super().put(item)
class Elsewhere(ThreadPoolExecutor):
    def __init__(self, *args):
        super().__init__(*args)
        self._work_queue = Pickling()
with request("first"), Elsewhere(1) as pool:
    print(pool.submit(math.sqrt, 4).result())
"""
    assert run_text(HEAD + text).stdout == run_text(HEAD + text, bare=True).stdout != ""


def test_the_program_sees_the_span_in_a_thread_and_its_baggage_is_sent_on(run_text: RunText) -> None:
    printed = run(run_text, """
from opentelemetry import propagate
def inject():
    carrier = {}
    propagate.inject(carrier)
    return sorted(carrier), carrier["baggage"]
def see():
    trace.get_current_span().set_attribute("seen", True)
    print(trace.get_current_span() is outer, *inject())
with request("first") as outer:
    token = context.attach(baggage.set_baggage("customer", "7"))
    thread = threading.Thread(target=see); thread.start(); thread.join()
    context.detach(token)
""")  # fmt: skip
    assert printed == "True ['baggage', 'traceparent'] customer=7\n"


def test_a_thread_that_a_client_starts_in_a_call_does_not_keep_still_for_ever(
    run_text: RunText, receiver: Receiver
) -> None:
    run(run_text, """
import requests, requests.adapters
def background():
    requested.wait()
    query("own_business")
class Adapter(requests.adapters.HTTPAdapter):
    def cert_verify(self, *args):
        thread.start()
        return super().cert_verify(*args)
thread, requested, session = threading.Thread(target=background), threading.Event(), requests.Session()
session.mount("http://", Adapter())
with request("first"):
    session.get(__import__("os").environ["OTEL_EXPORTER_OTLP_ENDPOINT"])
requested.set()
thread.join()
""")  # fmt: skip
    assert parents(receiver) == {"own_business": ""}
    assert [span.name for span in receiver.spans if span.kind == "CLIENT" and "url.full" in span.attributes] == ["GET"]


def test_tasks_have_the_span_that_they_were_made_in(run_text: RunText, receiver: Receiver) -> None:
    run(run_text, """
import asyncio, sys
async def later(name):
    await asyncio.sleep(0)
    query(name)
async def main():
    loop, called = asyncio.get_running_loop(), asyncio.Event()
    with request("first"):
        tasks = [asyncio.create_task(later("create_task")), asyncio.ensure_future(later("ensure_future"))]
        await asyncio.gather(later("gather"), *tasks)
        await asyncio.to_thread(query, "to_thread")
        await loop.run_in_executor(None, query, "executor")
        loop.call_soon(query, "call_soon"); loop.call_later(0.01, query, "call_later")
        loop.call_soon_threadsafe(lambda: (query("threadsafe"), loop.call_later(0.02, called.set)))
        if sys.version_info >= (3, 11):
            async with asyncio.TaskGroup() as group: group.create_task(later("group"))
        else: await asyncio.create_task(later("group"))
    await called.wait()
    await loop.run_in_executor(None, query, "afterwards")
    await later("outside")
asyncio.run(main())
""")  # fmt: skip
    inside = ("create_task", "ensure_future", "gather", "to_thread", "executor", "call_soon", "call_later",
              "threadsafe", "group")  # fmt: skip
    assert parents(receiver) == {**dict.fromkeys(inside, "first"), "afterwards": "", "outside": ""}


@pytest.mark.parametrize("backend", ["asyncio"])
def test_anyio_s_tasks_and_threads_have_it_too(run_text: RunText, receiver: Receiver, backend: str) -> None:
    run(run_text, f"""
import anyio, anyio.from_thread, anyio.to_thread
async def later(name): query(name)
def in_thread():
    query("thread")
    anyio.from_thread.run(later, "back")
async def main():
    with request("first"):
        async with anyio.create_task_group() as group:
            group.start_soon(later, "group")
        await anyio.to_thread.run_sync(in_thread)
    await anyio.to_thread.run_sync(query, "afterwards")
anyio.run(main, backend="{backend}")
""")  # fmt: skip
    assert parents(receiver) == {"group": "first", "thread": "first", "back": "first", "afterwards": ""}


@pytest.mark.parametrize("patched", [False, True])
def test_greenlets_have_it_too(run_text: RunText, receiver: Receiver, patched: bool) -> None:
    head = "from gevent import monkey; monkey.patch_all()\n" if patched else ""
    run_text(head + HEAD + """
import gevent, gevent.pool
from concurrent.futures import ThreadPoolExecutor
pool = gevent.pool.Pool(2)
with request("first"):
    gevent.joinall([gevent.spawn(query, "spawned"), pool.spawn(query, "pooled")])
    thread = threading.Thread(target=query, args=("thread",)); thread.start(); thread.join()
    executor = ThreadPoolExecutor(1)
    executor.submit(query, "executor").result()
executor.submit(query, "afterwards").result()
gevent.spawn(query, "outside").join()
""")  # fmt: skip
    assert parents(receiver) == {
        "spawned": "first", "pooled": "first", "thread": "first", "executor": "first", "afterwards": "", "outside": "",
    }  # fmt: skip


def test_a_disabled_instrument_leaves_threads_alone(run_text: RunText, receiver: Receiver) -> None:
    run(run_text, """
assert not hasattr(threading.Thread.start, "__wrapped__")
with request("first"):
    thread = threading.Thread(target=query, args=("alone",)); thread.start(); thread.join()
""", OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="threading")  # fmt: skip
    assert parents(receiver) == {"alone": ""}
