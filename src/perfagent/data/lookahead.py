"""A file as unpacked bytes, read ahead so far that the lines to come can be counted before they are parsed."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections import deque
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from perfagent.data.extras import need, wrong

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

BLOCK = 1 << 18
_SUFFIXES = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".lzma": "xz", ".zst": "zstd"}
_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
COMPRESSIONS = ("infer", "none", "gzip", "bz2", "xz", "zstd")


def open_unpacked(path: str | os.PathLike[str], compression: str = "infer") -> IO[bytes]:
    """Opens a file for reading, unpacked.

    Args:
        path: the file.
        compression: `gzip`, `bz2`, `xz`, `zstd`, `none`, or `infer`: by its first bytes, and where these tell nothing,
            as it is.

    Raises:
        ValueError: for another word, or a name that ends as a packed file's where the bytes are of none.
        OSError: where the file cannot be opened.
    """
    if compression not in COMPRESSIONS:
        raise wrong("compression", compression, f"one of {', '.join(COMPRESSIONS)}", 'compression="gzip"')
    if compression == "infer":
        with open(path, "rb") as file:
            start = file.read(8)
        compression = next((name for magic, name in _MAGIC.items() if start.startswith(magic)), "none")
        named = _SUFFIXES.get(Path(path).suffix.lower())
        if named and start and compression == "none":
            raise ValueError(f'{path} is named as {named} and is none: rename it, or say compression="none"')
    if compression == "zstd":
        return need("zstandard", "a file packed by zstd").open(path, "rb")  # type: ignore[no-any-return]
    opener: Any = {"gzip": gzip.open, "bz2": bz2.open, "xz": lzma.open, "none": open}[compression]
    return opener(path, "rb")  # type: ignore[no-any-return]


class Lookahead(io.BufferedIOBase):
    """Bytes of a file, some of which wait in memory; a reader of text may stand on it.

    Args:
        file: where they come from; closed with this.
    """

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        # Blocks, each with its line ends: to count them costs 7 % of what parsing does.
        self._ahead: deque[tuple[bytes, int]] = deque()
        self.waiting = 0
        """Bytes that are read and not asked for yet."""
        self.lines = 0
        """Line ends among them."""
        self.total = 0
        """Bytes read since the start."""
        self._ended = False

    def fill(self, size: int) -> None:
        """Reads on until `size` bytes wait, or the file ends."""
        while self.waiting < size and not self._ended:
            block = self._file.read(min(BLOCK, max(size - self.waiting, 4096)))
            if not block:
                self._ended = True
                break
            self.total += len(block)
            self._put(block, self._ahead.append)

    def records(self, most: int) -> int:
        """How many records may be asked for, so that no more than the bytes that wait are gone through.

        Args:
            most: the largest answer. At the end of the file it is this: what is left is less than was asked for.
        """
        return most if self._ended else max(min(most, self.lines), 1)

    def readable(self) -> bool:
        """True: the text layer asks."""
        return True

    def read1(self, size: int = -1, /) -> bytes:
        """The next block, however large: the text layer asks for 8 KB, and a call for each would cost time."""
        if not self._ahead:
            self.fill(BLOCK)
        if not self._ahead:
            return b""
        block, lines = self._ahead.popleft()
        self.waiting -= len(block)
        self.lines -= lines
        return block

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to `size` bytes; all that is left for None or less than 0."""
        if size is None or size < 0:
            return b"".join(iter(self.read1, b""))
        block = self.read1()
        if len(block) > size:
            self._put(block[size:], self._ahead.appendleft)
        return block[:size]

    def close(self) -> None:
        """Closes the file."""
        if not self.closed:
            self._file.close()
            self._ahead.clear()
        super().close()

    def _put(self, block: bytes, put: Callable[[tuple[bytes, int]], None]) -> None:
        lines = block.count(b"\n") or block.count(b"\r")
        put((block, lines))
        self.waiting += len(block)
        self.lines += lines
