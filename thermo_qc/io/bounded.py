"""Files that never give, nor ask memory for, more bytes than they have."""

from __future__ import annotations

import io
import os
from pathlib import Path

__all__ = ["BoundedFile"]


class BoundedFile(io.BufferedReader):
    """A file open for reading.

    Libraries read as many bytes as a length in the file says, and Python makes room for all of them first: a damaged
    length costs gigabytes. Here it costs what is left of the file.

    Parameters
    ----------
    path : Path
        The file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self._end = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """Read at most `size` bytes, all that is left where it is negative or None."""
        left = max(0, self._end - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))
