"""The errors that megabase raises on purpose, and what the command makes of them."""


class InputError(ValueError):
    """What was asked for cannot be done as asked: a wrong option, file or letter.

    The message says what was expected, what came, and how to mend it.
    The command prints it as one line and exits with code 2.
    """


class WorkError(RuntimeError):
    """The request was right and the work failed: a full disk, a loss that is no number.

    The command prints it as one line and exits with code 1.
    """


class DivergedError(WorkError):
    """A training whose loss is no number any more."""
