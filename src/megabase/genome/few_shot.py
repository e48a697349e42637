"""Prompts that show examples first: sequence, SEP, letter of the class, SEP; then the question."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY

Tokens = UInt8[np.ndarray, " _"]

_SEP = DNA_VOCABULARY.id_of("[SEP]")
_AROUND = 3  # tokens of a demonstration beside its sequence: SEP, letter, SEP


class Shot(NamedTuple):
    """A demonstration: the tokens of a sequence, and the number of its class."""

    sequence: Tokens
    label: int


def demonstration_tokens(shots: Sequence[Shot], letters: str) -> Tokens:
    """Write demonstrations one after the other: {X1, SEP, Y1, SEP, X2, SEP, Y2, SEP, ...}.

    Parameters
    ----------
    shots
        In their order.
    letters
        That of each class, as of `answer.answer_letters`.

    Raises
    ------
    InputError
        If a label is no class, or a sequence is empty or has other tokens than letters.
    """
    parts = [np.empty(0, dtype=np.uint8)]
    for sequence, label in shots:
        if not 0 <= label < len(letters):
            raise InputError(
                f"the letters {letters} are of classes 0 to {len(letters) - 1}, got class {label}"
            )
        parts += [_checked(sequence), _just(_SEP), answer_token(letters[label]), _just(_SEP)]
    return np.concatenate(parts)


def few_shot_prompt(shots: Sequence[Shot], query: Tokens, letters: str) -> Tokens:
    """Write demonstrations and a question: {X1, SEP, Y1, SEP, ..., X, SEP}.

    The next token is the answer.

    Parameters
    ----------
    shots, letters
        As of `demonstration_tokens`; without shots the prompt is {X, SEP}.
    query
        Tokens of the sequence whose class is asked for.

    Source
    ------
    Nguyen et al. 2023, arXiv:2306.15794v2, A.3.

    Examples
    --------
    >>> query = DNA_VOCABULARY.encode("CC").tokens
    >>> few_shot_prompt([Shot(DNA_VOCABULARY.encode("GT").tokens, 1)], query, "AN").tolist()
    [9, 10, 1, 11, 1, 8, 8, 1]
    """
    return np.concatenate([demonstration_tokens(shots, letters), _checked(query), _just(_SEP)])


def answer_token(letter: str) -> UInt8[np.ndarray, "1"]:
    """Give the token of an answer."""
    return DNA_VOCABULARY.encode(letter).tokens


def prompt_length(shots: Sequence[Shot], query_length: int) -> int:
    """Count the tokens of the prompt of a query of so many letters."""
    return sum(len(shot.sequence) + _AROUND for shot in shots) + query_length + 1


def check_fits(
    shots: Sequence[Shot], longest_query: int, context_length: int, *, n_classes: int
) -> None:
    """Raise an InputError unless the prompt of the longest query is within the context.

    Parameters
    ----------
    shots
        The demonstrations.
    longest_query
        In bp.
    context_length
        The most tokens of a prompt.
    n_classes
        For the message, which says how many shots of each would fit.
    """
    total = prompt_length(shots, longest_query)
    if total <= context_length:
        return
    if not shots:
        raise InputError(
            f"a query of {longest_query:,} bp and SEP make {total:,} tokens, and the model "
            f"reads at most {context_length:,}; take a model of a longer context"
        )
    longest = max(len(shot.sequence) for shot in shots)
    left = context_length - prompt_length((), longest_query)
    fitting = max(0, left // (n_classes * (longest + _AROUND)))
    raise InputError(
        f"{len(shots):,} demonstrations of up to {longest:,} bp and a query of {longest_query:,} "
        f"bp make a prompt of {total:,} tokens, and the model reads at most {context_length:,}; of "
        f"such rows {fitting} a class fit: take fewer shots or a model of a longer context"
    )


def _checked(sequence: Tokens) -> Tokens:
    if not len(sequence):
        raise InputError("a sequence of a prompt has at least one letter; leave empty rows out")
    DNA_VOCABULARY.decode(sequence)
    return sequence


def _just(token: int) -> UInt8[np.ndarray, "1"]:
    return np.array([token], dtype=np.uint8)
