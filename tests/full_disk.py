"""A limit to how large files may grow, in place of a full disk."""

from contextlib import contextmanager

import pytest

resource = pytest.importorskip("resource", reason="no such limit on this system")


@contextmanager
def file_limit(n_bytes):
    """Let no file of this process grow beyond `n_bytes` for so long."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
