"""The errors that megabase raises on purpose, their exit codes, and how messages count."""


class InputError(ValueError):
    """Report a request that cannot be carried out: an invalid option, file or letter.

    The message says what was expected, what was given, and how to correct it.
    The command prints it as one line and exits with code 2.
    """


class WorkError(RuntimeError):
    """Report that a valid request failed: a full disk, a loss that is NaN.

    The command prints it as one line and exits with code 1.
    """


class DivergedError(WorkError):
    """Report a training run whose loss has become NaN or infinite."""


def counted(n: int, unit: str, units: str = "") -> str:
    """Return a number with its unit, in the singular or the plural.

    Parameters
    ----------
    n
        The number.
    unit
        The unit in the singular.
    units
        The unit in the plural; if empty, `unit` with an s.

    Examples
    --------
    >>> counted(1, "seed"), counted(2000, "seed"), counted(0, "class", "classes")
    ('1 seed', '2,000 seeds', '0 classes')
    """
    return f"{n:,} {unit if n == 1 else units or unit + 's'}"
