"""The errors that megabase raises on purpose, and the exit codes of the command for them."""


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
