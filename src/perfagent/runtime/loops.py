"""Which loop of a function an instruction runs in, read from its bytecode by the background thread.

An instruction is in a loop where control can come from it to itself again without an exception. So a loop that tries
again until a call succeeds is none for that call, nor is what an `await` compiles to.
"""

from __future__ import annotations

import dis
from bisect import bisect_right

from perfagent.runtime.encoded import MOST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType

ENDS = frozenset(
    ("RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE", "INTERPRETER_EXIT", "JUMP_FORWARD", "JUMP_ABSOLUTE",
     "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT")
)  # fmt: skip
"""After these control does not go on with the next instruction."""
OTHERWISE = frozenset(("SETUP_FINALLY", "SETUP_WITH", "SETUP_ASYNC_WITH", "JUMP_BACKWARD_NO_INTERRUPT"))
"""Their targets are where exceptions go to (Python 3.10), or the waiting of an `await`."""
LONGEST = 20_000  # bytes of code; a longer function is not read

_flows: dict[CodeType, Flow | None] = {}
_lines: dict[tuple[CodeType, int], int] = {}


class Flow:
    """How control goes through a function, exceptions left out.

    Args:
        code: the function's.
    """

    __slots__ = ("after", "back", "line", "offsets")

    def __init__(self, code: CodeType) -> None:
        self.offsets: list[int] = []
        self.after: dict[int, list[int]] = {}
        self.back: list[tuple[int, int]] = []
        """Each jump backwards: target and source."""
        self.line: dict[int, int] = {}
        jumping = {*dis.hasjrel, *dis.hasjabs}
        instructions = list(dis.get_instructions(code))
        self.offsets = [one.offset for one in instructions]
        for number, one in enumerate(instructions):
            after = self.after[one.offset] = []
            if one.opname not in ENDS and number + 1 < len(instructions):
                after.append(instructions[number + 1].offset)
            if one.opcode in jumping and one.opname not in OTHERWISE:
                after.append(one.argval)
                if one.argval <= one.offset:
                    self.back.append((one.argval, one.offset))
        starts = [(start, line) for start, _, line in code.co_lines() if line]
        for offset in self.offsets:
            place = bisect_right(starts, (offset, 1 << 60)) - 1
            self.line[offset] = starts[place][1] if place >= 0 else code.co_firstlineno

    def loop(self, offset: int) -> int:
        """The line where the innermost loop around an instruction begins; 0 where it is in none."""
        place = bisect_right(self.offsets, offset) - 1
        own = self.offsets[max(place, 0)]
        for target, source in sorted(self.back, reverse=True):
            if target <= own <= source and self._leads(own, source, target):
                return min(self.line[target], self.line[source])
        return 0

    def _leads(self, begin: int, source: int, target: int) -> bool:
        """Whether control comes from an instruction to a loop's jump backwards without leaving the loop."""
        waiting, seen = [begin], {begin}
        while waiting:
            one = waiting.pop()
            if one == source:
                return True
            for following in self.after.get(one, ()):
                if target <= following <= source and following > target and following not in seen:
                    seen.add(following)
                    waiting.append(following)
        return False


def line_of_loop(code: CodeType, offset: int) -> int:
    """The line where the loop begins that an instruction of a function runs in; 0 where it runs in none."""
    key = code, offset
    found = _lines.get(key)
    if found is None:
        flow = _flow(code)
        found = flow.loop(offset) if flow is not None else 0
        if len(_lines) >= MOST:
            _lines.clear()
        _lines[key] = found
    return found


def _flow(code: CodeType) -> Flow | None:
    if code not in _flows:
        if len(_flows) >= MOST // 4:
            _flows.clear()
        _flows[code] = Flow(code) if len(code.co_code) <= LONGEST else None
    return _flows[code]
