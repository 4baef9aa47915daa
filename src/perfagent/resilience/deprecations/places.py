"""Whose line a deprecated call is, what it calls, and what the warning says without the values in it."""

from __future__ import annotations

import sys

from perfagent.runtime import callers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from re import Match
    from types import CodeType, FrameType

LONGEST = 300  # characters of a text that are kept
DEPTH = 60  # frames that are walked at most
DEPRECATORS = ("warnings", "typing_extensions", "perfagent.resilience.deprecations.decorator")
"""Modules with a decorator of PEP 702."""


def is_internal(code: CodeType) -> bool:
    """Whether a frame is the import system's own, which Python's warnings pass over."""
    name = code.co_filename
    return "importlib" in name and "_bootstrap" in name


def up(frame: FrameType, level: int, prefixes: tuple[str, ...] = ()) -> FrameType | None:
    """The frame that `warnings.warn` blames where `frame` calls it; None where the stack is not that high.

    Args:
        frame: the caller.
        level: the `stacklevel`.
        prefixes: the `skip_file_prefixes`.
    """
    if prefixes:
        level = max(level, 2)
    passing = not is_internal(frame.f_code)
    found: FrameType | None = frame
    for _ in range(level - 1):
        found = found.f_back if found is not None else None
        while passing and found is not None and (is_internal(found.f_code) or _skipped(found, prefixes)):
            found = found.f_back
        if found is None:
            return None
    return found


def _skipped(frame: FrameType, prefixes: tuple[str, ...]) -> bool:
    return bool(prefixes) and frame.f_code.co_filename.startswith(prefixes)


def below(frame: FrameType, blamed: FrameType | None) -> FrameType:
    """The frame that `blamed` called, on the way to `frame`: the function that is deprecated, mostly."""
    found = frame
    step: FrameType | None = frame
    while step is not None and step is not blamed:
        if not is_internal(step.f_code):
            found = step
        step = step.f_back
    return found


def name_of(frame: FrameType) -> str:
    """What a frame's function is called by, with its module; what a decorator of PEP 702 has marked, by its own."""
    code = frame.f_code
    module = str(frame.f_globals.get("__name__", ""))
    if module in DEPRECATORS:
        marked = _marked(frame)
        name = getattr(marked, "__qualname__", "") or getattr(marked, "__name__", "")
        if isinstance(name, str) and name:
            return f"{getattr(marked, '__module__', '')}.{name}".lstrip(".")
    if code.co_name == "<module>":
        return module
    if code.co_name == "__getattr__" and code.co_argcount:  # a module's or an object's old name
        asked = frame.f_locals.get(code.co_varnames[code.co_argcount - 1])
        if isinstance(asked, str) and asked.isidentifier():
            return f"{module}.{asked}"
    return f"{module}.{getattr(code, 'co_qualname', code.co_name)}".lstrip(".")


def library(frame: FrameType, name: str) -> str:
    """A file of the library that warns: that of the frame, or of what a decorator has marked, or of the module that a
    function belongs to which was made up at run time.
    """
    file, module = frame.f_code.co_filename, str(frame.f_globals.get("__name__"))
    if module in DEPRECATORS:
        module = name.partition(".")[0]
    elif not file.startswith("<"):
        return file
    return getattr(sys.modules.get(module), "__file__", None) or ""


def _marked(frame: FrameType) -> object:
    """What a decorator of PEP 702 has marked, from the frame of its wrapper."""
    found = frame.f_locals
    if "arg" in found:
        return found["arg"]
    bound = getattr(found.get("original_init_subclass"), "__self__", None)  # of the class that has none of its own
    if bound is not None:
        return bound
    for base in getattr((found.get("args") or (None,))[0], "__mro__", ())[1:]:  # of the subclass that is being defined
        if "__deprecated__" in vars(base):
            return base
    return None


def named_by(text: str) -> str:
    """What a warning from C is about: the name that its text begins with, else its text."""
    import re

    found = re.match(r"['\"`]?([A-Za-z_][\w.]*)(?:\(\))?['\"`]?(?: \w+)? (?:is|are|was|has been|will be) ", text)
    return found[1] if found else re.sub(r"'.*?'|\".*?\"|\d{4,}", "?", text)[:80]


def is_own(file: str, frame: FrameType | None) -> bool:
    """Whether a file is the program's: not the standard library's, an installed package's or ours."""
    own = callers.whose(file)
    if own == callers.IF_MAIN:
        return frame is not None and frame.f_globals.get("__name__") == "__main__"
    return own == callers.OWN


def cleaned(text: str, frame: FrameType) -> str:
    """What a warning says, as it may be shown: a text that stands in the code is shown whole; of one that is made up
    at run time, what is quoted is shown where it is a name in the code, and long numbers and queries of URLs are not.

    Args:
        text: of the warning.
        frame: who warns.
    """
    text = text.strip()
    if not _is_constant(text, frame):
        import re

        names: set[str] = set()
        for code in _codes(frame):
            names.update(_names(code))

        def masked(found: Match[str]) -> str:
            inside = found[2].removesuffix("()")
            known = bool(inside) and all(part in names for part in inside.split("."))
            return found[0] if known else f"{found[1]}?{found[1]}"

        text = re.sub(r"(?<!\w)(``|['\"`])(.*?)\1(?!\w)", masked, text, flags=re.DOTALL)
        text = re.sub(r"(?<=/)\S*\?\S+|\d{6,}", "?", text)
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _is_constant(text: str, frame: FrameType) -> bool:
    """Whether a text stands in the code that warns, or in a decorator of PEP 702: then it holds no value."""
    code = frame.f_code
    if "msg" in code.co_freevars and frame.f_globals.get("__name__") in DEPRECATORS:
        return True
    return any(isinstance(one, str) and one.strip() == text for one in code.co_consts)


def _codes(frame: FrameType) -> Iterator[CodeType]:
    step: FrameType | None = frame
    for _ in range(4):
        if step is None:
            return
        yield step.f_code
        step = step.f_back


def _names(code: CodeType) -> Iterator[str]:
    yield code.co_name
    yield from code.co_names
    yield from code.co_varnames
    for constant in code.co_consts:
        if isinstance(constant, tuple):  # names of keyword arguments
            yield from (one for one in constant if isinstance(one, str) and one.isidentifier())


def where(frame: FrameType) -> tuple[str, int, str]:
    """File, line and function of a frame."""
    code = frame.f_code
    return code.co_filename, frame.f_lineno or 0, getattr(code, "co_qualname", code.co_name)
