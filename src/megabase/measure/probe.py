"""Models of scikit-learn on vectors: how far a simple one gets with embeddings or counts."""

from importlib.util import find_spec

from megabase.errors import InputError


def check_sklearn() -> None:
    """Ask for what probes are made of, before long work that ends in one.

    Raises
    ------
    InputError
        If scikit-learn is not installed.
    """
    if find_spec("sklearn") is None:
        raise InputError("probes need scikit-learn: pip install 'megabase[sklearn]'")
