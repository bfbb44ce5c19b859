"""How many workers a machine bears."""

import os
from contextlib import suppress

_NEEDED = 1.5e9  # bytes of memory of a worker


def machine_workers() -> int:
    """A worker for each processor that this process may use, as far as the memory reaches; at least 1."""
    with suppress(AttributeError):  # only Linux says which ones are allowed
        return max(1, min(len(os.sched_getaffinity(0)), _room()))
    return max(1, min(os.cpu_count() or 1, _room()))


def _room() -> int:
    try:
        return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _NEEDED)
    except (AttributeError, ValueError, OSError):  # a system that does not say
        return 1
