"""What the clients of OpenAI and of Anthropic have in common: one method that every call goes through, streams that are
read piece by piece, and responses that tell the tokens used.

The request below is the call's own: it has no span, however often it is sent. A stream's call ends with the stream, or
when the program closes it or forgets it.
"""

from __future__ import annotations

from perfagent.instruments import outgoing
from perfagent.runtime import guard
from perfagent.runtime.clock import now
from perfagent.runtime.context import current, restore
from perfagent.runtime.genai import GenAiSpan
from perfagent.runtime.span import CLIENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import Any

    from perfagent.runtime.span import Scope

    Ask = Callable[[Any], bool]
    Describe = Callable[[Any], str]

LARGEST = 1 << 20  # bytes of a response that is read a second time for its tokens


def calling(
    scope: Scope, operations: Mapping[str, str], provider: Describe, traces_itself: Ask = lambda client: False
) -> Callable[[Any], Any]:
    """What replaces a client's `request`.

    Args:
        scope: of the spans.
        operations: `gen_ai.operation.name` by the end of a request's path, the first that fits; other requests are no
            calls of a model.
        provider: tells `gen_ai.provider.name` of a client.
        traces_itself: tells whether a client makes a span of each call by itself; ours then makes the metrics alone.
    """

    def make(request: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(client: Any, cast_to: Any, options: Any, *args: Any, **more: Any) -> Any:
            span = _open(scope, operations, provider, client, options)
            if span is None:
                return request(client, cast_to, options, *args, **more)
            silent = traces_itself(client)
            token = silence(span) if silent else current.set(span)
            try:
                answer = request(client, cast_to, options, *args, **more)
            except BaseException as error:
                span.fail(error)
                span.finish()
                raise
            finally:
                restore(outgoing.left_out if silent else current, token)
            _answered(span, answer, Chunks)
            return answer

        return wrapper

    return make


def calling_async(
    scope: Scope, operations: Mapping[str, str], provider: Describe, traces_itself: Ask = lambda client: False
) -> Callable[[Any], Any]:
    """As `calling`, for a coroutine function."""

    def make(request: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def wrapper(client: Any, cast_to: Any, options: Any, *args: Any, **more: Any) -> Any:
            span = _open(scope, operations, provider, client, options)
            if span is None:
                return await request(client, cast_to, options, *args, **more)
            silent = traces_itself(client)
            token = silence(span) if silent else current.set(span)
            try:
                answer = await request(client, cast_to, options, *args, **more)
            except BaseException as error:
                span.fail(error)
                span.finish()
                raise
            finally:
                restore(outgoing.left_out if silent else current, token)
            _answered(span, answer, ChunksInLoop)
            return answer

        return wrapper

    return make


def silence(span: GenAiSpan) -> Any:
    """Leaves the span out of what is sent, and the requests below it: another one stands for them."""
    span.flags = 0
    return outgoing.left_out.set(True)


def closing(close: Callable[..., Any]) -> Callable[..., Any]:
    """What replaces a stream's `close`."""

    def wrapper(stream: Any) -> Any:
        try:
            return close(stream)
        finally:
            _closed(stream)

    return wrapper


def closing_async(close: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """As `closing`, for a coroutine function."""

    async def wrapper(stream: Any) -> Any:
        try:
            return await close(stream)
        finally:
            _closed(stream)

    return wrapper


class Pieces:
    """Takes the place of the iterator that a stream reads from, and looks at what goes by.

    Args:
        inner: that iterator.
        span: the call's, which ends with it.
    """

    __slots__ = ("inner", "span")

    def __init__(self, inner: Any, span: GenAiSpan) -> None:
        self.inner = inner
        self.span = span

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def seen(self, piece: Any) -> Any:
        """The piece, once what it tells has been taken."""
        try:
            span = self.span
            if not span.first:
                span.first = now()
            read(span, piece)
        except Exception:
            guard.failed("genai")
        return piece

    def failed(self, error: BaseException) -> None:
        """Ends the call with what the stream ended with."""
        if not isinstance(error, (StopIteration, StopAsyncIteration)):
            self.span.fail(error)
        self.span.finish()

    def __del__(self) -> None:
        self.span.finish()


class Chunks(Pieces):
    """Those of a stream."""

    __slots__ = ()

    def __iter__(self) -> Chunks:
        return self

    def __next__(self) -> Any:
        try:
            piece = self.inner.__next__()
        except BaseException as error:
            self.failed(error)
            raise
        return self.seen(piece)


class ChunksInLoop(Pieces):
    """Those of an asynchronous one."""

    __slots__ = ()

    def __aiter__(self) -> ChunksInLoop:
        return self

    async def __anext__(self) -> Any:
        try:
            piece = await self.inner.__anext__()
        except BaseException as error:
            self.failed(error)
            raise
        return self.seen(piece)


def read(span: GenAiSpan, told: Any) -> None:
    """Takes from a response, or a piece of one, the model, the reasons for its end and the tokens used."""
    outer = _fields(told)
    within = outer.get("response") or outer.get("message")  # an event of a stream has it in there
    whole = _fields(within) if within is not None else outer
    answered = span.answered
    for name, attribute in (("id", "gen_ai.response.id"), ("model", "gen_ai.response.model")):
        value = whole.get(name)
        if value and isinstance(value, str):
            answered[attribute] = value
    reasons = [field(choice, "finish_reason") for choice in whole.get("choices") or ()]
    reasons += (whole.get("stop_reason"), field(outer.get("delta"), "stop_reason"))
    if whole.get("object") == "response":
        reasons.append(field(whole.get("incomplete_details"), "reason") or whole.get("status"))
    found = [reason for reason in reasons if isinstance(reason, str) and reason != "in_progress"]
    if found:
        answered["gen_ai.response.finish_reasons"] = found
    usage = whole.get("usage") or outer.get("usage")
    if usage is not None:
        _count(span.usage, usage)


def _count(into: dict[str, int], usage: Any) -> None:
    """Adds what a response tells of its tokens, under the conventions' names."""
    fields = {
        "input_tokens": field(usage, "prompt_tokens"),
        "output_tokens": field(usage, "completion_tokens"),
        "cache_read.input_tokens": field(field(usage, "prompt_tokens_details"), "cached_tokens")
        or field(field(usage, "input_tokens_details"), "cached_tokens"),
        "reasoning.output_tokens": field(field(usage, "completion_tokens_details"), "reasoning_tokens")
        or field(field(usage, "output_tokens_details"), "reasoning_tokens"),
    }
    if fields["input_tokens"] is None:
        read_, written = field(usage, "cache_read_input_tokens"), field(usage, "cache_creation_input_tokens")
        fields["input_tokens"], fields["output_tokens"] = field(usage, "input_tokens"), field(usage, "output_tokens")
        if isinstance(fields["input_tokens"], int):  # Anthropic tells what is cached besides, the conventions within
            fields["input_tokens"] += (read_ or 0) + (written or 0)
        fields["cache_read.input_tokens"] = fields["cache_read.input_tokens"] or read_
        fields["cache_creation.input_tokens"] = written
    for name, value in fields.items():
        if isinstance(value, int) and (value or "." not in name):
            into[f"gen_ai.usage.{name}"] = value


def field(told: Any, name: str) -> Any:
    """A field of a model or of a dict; None where there is none.

    A model's fields are in its own dict: pydantic takes 3 us to say by `getattr` that there is no such field.
    """
    return _fields(told).get(name)


def _fields(told: Any) -> Mapping[str, Any]:
    return told if type(told) is dict else getattr(told, "__dict__", _NONE)


_NONE: Mapping[str, Any] = {}


def _open(
    scope: Scope, operations: Mapping[str, str], provider: Describe, client: Any, options: Any
) -> GenAiSpan | None:
    try:
        path = options.url.partition("?")[0]
        operation = next((name for end, name in operations.items() if path.endswith(end)), None)
        parent = current.get()
        if operation is None or options.method.lower() != "post":
            return None
        if parent is not None and parent.kind == CLIENT and not parent.ended:
            return None
        asked = options.json_data
        asked = asked if isinstance(asked, dict) else {}
        span = GenAiSpan(scope, parent, provider(client), operation, client.base_url, asked)
        if asked.get("stream"):
            span.settings["gen_ai.request.stream"] = True
        return span
    except Exception:
        guard.failed("genai")
        return None


def _answered(span: GenAiSpan, answer: Any, kind: type[Pieces]) -> None:
    try:
        inner = getattr(answer, "_iterator", None)
        if inner is not None:
            answer._iterator = kind(inner, span)
            return
        raw = getattr(answer, "http_response", None)  # of `with_raw_response`: parsed later, if at all
        if raw is None:
            read(span, answer)
        else:
            body = vars(raw).get("_content")
            if body is not None and len(body) < LARGEST:
                from json import loads

                read(span, loads(body))
    except Exception:
        guard.failed("genai")
    span.finish()


def _closed(stream: Any) -> None:
    pieces = vars(stream).get("_iterator")
    if isinstance(pieces, Pieces):
        pieces.span.finish()
