"""Prompts that show examples first, and the letters that stand for classes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY

_LETTERS = {2: "AN", 3: "AGN", 4: "ACGT", 5: "ACGTN"}


def answer_letters(n_classes: int) -> str:
    """Return a letter for each class, as HyenaDNA assigns them: A and N for two classes.

    Parameters
    ----------
    n_classes
        From 2 to 5. Three classes get A, G and N, four the bases, five the bases and N.

    Raises
    ------
    InputError
        If `n_classes` is not between 2 and 5.
    """
    if n_classes not in _LETTERS:
        raise InputError(f"a model can answer in its letters for 2 to 5 classes; got {n_classes}")
    return _LETTERS[n_classes]


Tokens = UInt8[np.ndarray, " _"]

_SEP = DNA_VOCABULARY.id_of("[SEP]")
_AROUND = 3  # tokens of a demonstration after its sequence: SEP, letter, SEP


class Shot(NamedTuple):
    """A demonstration: the tokens of a sequence, and the number of its class."""

    sequence: Tokens
    label: int


def demonstration_tokens(shots: Sequence[Shot], letters: str) -> Tokens:
    """Return the tokens of demonstrations in order: {X1, SEP, Y1, SEP, X2, SEP, Y2, SEP, ...}.

    Parameters
    ----------
    shots
        The demonstrations, in the order of the prompt.
    letters
        The letter of each class, from `few_shot_prompt.answer_letters`.

    Raises
    ------
    InputError
        If a label is not a class, or a sequence is empty or contains a special token.
    """
    parts = [np.empty(0, dtype=np.uint8)]
    for sequence, label in shots:
        if not 0 <= label < len(letters):
            raise InputError(
                f"the letters {letters} stand for classes 0 to {len(letters) - 1}; got class "
                f"{label}"
            )
        parts += [_checked(sequence), _just(_SEP), answer_token(letters[label]), _just(_SEP)]
    return np.concatenate(parts)


def few_shot_prompt(shots: Sequence[Shot], query: Tokens, letters: str) -> Tokens:
    """Return the tokens of demonstrations and a query: {X1, SEP, Y1, SEP, ..., X, SEP}.

    The next token is the answer.

    Parameters
    ----------
    shots
        The demonstrations, in the order of the prompt; without any, the prompt is {X, SEP}.
    query
        Tokens of the sequence to classify.
    letters
        The letter of each class, from `few_shot_prompt.answer_letters`.

    Raises
    ------
    InputError
        If a label is not a class, or a sequence is empty or contains a special token.

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
    """Return the token of an answer letter, as an array of one token."""
    return DNA_VOCABULARY.encode(letter).tokens


def prompt_length(shots: Sequence[Shot], query_length: int) -> int:
    """Count the tokens of the prompt for a query of `query_length` bp."""
    return sum(len(shot.sequence) + _AROUND for shot in shots) + query_length + 1


def check_fits(
    shots: Sequence[Shot], longest_query: int, context_length: int, *, n_classes: int
) -> None:
    """Raise an InputError unless the prompt of the longest query fits into the context.

    Parameters
    ----------
    shots
        The demonstrations.
    longest_query
        Length of the longest query in bp.
    context_length
        Greatest number of tokens of a prompt.
    n_classes
        Number of classes; the message says how many shots of each would fit.
    """
    total = prompt_length(shots, longest_query)
    if total <= context_length:
        return
    if not shots:
        raise InputError(
            f"a query of {longest_query:,} bp and SEP make {total:,} tokens, and the model "
            f"reads at most {context_length:,}; use a model with a longer context"
        )
    longest = max(len(shot.sequence) for shot in shots)
    left = context_length - prompt_length((), longest_query)
    fitting = max(0, left // (n_classes * (longest + _AROUND)))
    raise InputError(
        f"{len(shots):,} demonstrations of up to {longest:,} bp and a query of {longest_query:,} "
        f"bp make a prompt of {total:,} tokens, and the model reads at most {context_length:,}; "
        f"{fitting} such shots per class fit: use fewer shots or a model with a longer context"
    )


def _checked(sequence: Tokens) -> Tokens:
    if not len(sequence):
        raise InputError("a sequence of a prompt needs at least one letter; remove empty rows")
    DNA_VOCABULARY.decode(sequence)
    return sequence


def _just(token: int) -> UInt8[np.ndarray, "1"]:
    return np.array([token], dtype=np.uint8)
