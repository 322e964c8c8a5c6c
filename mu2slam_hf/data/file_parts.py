# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Parts of data files: every n-th row, from a position on that an earlier reader noted."""

from typing import NamedTuple


class RowPosition(NamedTuple):
    """A place between two rows of a file, from which reading can go on.

    Attributes:
        row: number of rows before it.
        line: number of lines before it; 0 if the file has none.
        offset: number of bytes before it, in the decompressed file; 0 if it is not known, and rows are counted.
    """

    row: int = 0
    line: int = 0
    offset: int = 0


class Part:
    """Every `count`-th row of a file, from row `index` on; (0, 1) is the whole file.

    A function that reads rows asks `has` for each of them in their order, before it yields the row. So `position` is
    known at any time, and another part with it as `start` continues there: by seeking if the function returns offsets,
    else by counting rows, which are not parsed.

    Args:
        index: first row of the part.
        count: number of parts.
        start: rows before it are skipped.
    """

    def __init__(self, index: int = 0, count: int = 1, start: RowPosition = RowPosition()) -> None:  # noqa: B008
        self.index, self.count, self.start = index, count, start
        self._next = tuple(start)

    @property
    def position(self) -> RowPosition:
        """The place after the latest row."""
        return RowPosition(*self._next)

    def has(self, position: int, *, line: int = 0, offset: int = 0) -> bool:
        """Whether row `position` (from 0) belongs to this part and is not before `start`.

        Args:
            position: number of the row in the file.
            line: number of lines up to its end.
            offset: number of bytes up to its end.
        """
        return self.passes(position, line=line, offset=offset) and position % self.count == self.index

    def passes(self, position: int, *, line: int = 0, offset: int = 0) -> bool:
        """As `has`, for rows that belong to this part in any case."""
        if position < self.start.row:
            return False
        self._next = (position + 1, line, offset)
        return True


WHOLE = Part()
"""All rows of a file, for readers that do not go on elsewhere."""
