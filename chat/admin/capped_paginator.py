"""Pages of a list that may be endless: nobody counts to its end."""

from __future__ import annotations

from functools import cached_property
from typing import Any, cast

from django.core.paginator import Paginator
from django.db.models import QuerySet

# Where the rows of a list are found by a join, the database takes longer to count them than to bring a page of the newest.
LONGEST_LIST = 2_000
LONGEST_SEARCH = 1_000


class CappedPaginator(Paginator):  # type: ignore[type-arg] # generic in its stubs alone
    """Counts to `most` and no further; what comes after that is found by filters. With `in_order` it counts the first ones, where
    others may be far between.
    """

    def __init__(self, rows: Any, per_page: int, *, most: int = LONGEST_LIST, in_order: bool = False) -> None:
        super().__init__(rows, per_page)
        self.most = most
        self.in_order = in_order

    @cached_property
    def _counted(self) -> int:
        rows = cast("QuerySet[Any]", self.object_list)
        return (rows if self.in_order else rows.order_by()).values("pk")[: self.most + 1].count()

    @property
    def count(self) -> int:
        return min(self._counted, self.most)

    @property
    def has_more(self) -> bool:
        """Whether there is more than is counted."""
        return self._counted > self.most
