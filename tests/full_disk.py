"""Simulate a full disk by a limit of the size of files."""

from contextlib import contextmanager

import pytest

resource = pytest.importorskip("resource", reason="no such limit on this system")


@contextmanager
def file_limit(n_bytes):
    """Limit files of this process to `n_bytes` within the context."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
