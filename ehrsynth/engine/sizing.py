"""How many workers a machine bears."""

import os

_NEEDED = 1.5e9  # bytes of memory of a worker


def machine_workers() -> int:
    """A worker for each processor that this process may use, as far as the memory reaches; at least 1."""
    processors = len(os.sched_getaffinity(0))
    return max(1, min(processors, int(_memory() // _NEEDED)))


def _memory() -> float:
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError):  # a system that does not say
        return _NEEDED
