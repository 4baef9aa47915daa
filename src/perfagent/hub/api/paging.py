"""Pages of a list: how long one is, where it begins, and the cursor of the one after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Query, Request

from perfagent.hub.api import cursors
from perfagent.hub.api.cursors import CURSOR, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfagent.hub.api.ranges import Range

LONGEST = 1000  # items a page


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list.

    Args:
        limit: most items that it has; a query asks for one more, to know whether there is another page.
        after: the key of the last item of the page before; None for the first page.
        request: whose cursor it makes.
    """

    limit: int
    after: tuple[Any, ...] | None
    request: Request

    @property
    def offset(self) -> int:
        """How many items are before this page, in a list that counts them."""
        return int(self.after[0]) if self.after else 0

    def listing(
        self,
        items: Sequence[Any],
        within: Range | None = None,
        key: Callable[[Any], Sequence[Any]] | None = None,
        keys: Sequence[Sequence[Any]] | None = None,
    ) -> dict[str, Any]:
        """The page as a `Listing`.

        Args:
            items: at most `limit` + 1 of them, in the list's order.
            within: the range of the list, which the pages after it keep.
            key: what places an item in a list that new items may enter: numbers and text.
            keys: the same, a key for each item. With neither, the next page counts the items before it.
        """
        shown = list(items[: self.limit])
        if len(items) <= self.limit:
            return {"items": shown, "next": None}
        if keys is not None:
            last = tuple(keys[self.limit - 1])
        else:
            last = tuple(key(shown[-1])) if key else (self.offset + self.limit,)
        begin, end = (within.begin, within.end) if within else (0.0, 0.0)
        return {"items": shown, "next": cursors.write(self.request, Place(begin, end, last))}


def page(
    request: Request,
    limit: Annotated[int, Query(description="Most items of a page.", ge=1, le=LONGEST, examples=[50])] = 50,
    cursor: Annotated[
        str | None,
        Query(description="`next` of the page before, with the same filters.", pattern=CURSOR, max_length=2100),
    ] = None,
) -> Page:
    """The page that a request asks for."""
    place = cursors.read(request) if cursor else None
    return Page(limit, place.key if place else None, request)


Paging = Annotated[Page, Depends(page)]
