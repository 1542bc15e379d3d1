"""A disk that is full for one process, without a right that a test might not have: the kernel refuses it every byte beyond a file size.

The limit of another process of the same user may be lowered and raised while it runs (prlimit). Writes beyond it fail with EFBIG where
a full disk gives ENOSPC, half-way through a write as there; what reads, and what writes less, goes on.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def full_disk(pid: int, beyond_bytes: int = 0) -> Iterator[None]:
    """While the block runs no file of the process grows beyond so many bytes."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (beyond_bytes, before[1]))
    try:
        yield
    finally:
        try:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
        except ProcessLookupError:
            return  # it has ended of it
