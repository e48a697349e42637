"""Generate sequences into a FASTA file, from prompts in a FASTA file or from nothing."""

import io
import logging
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from megabase.errors import InputError
from megabase.genome.constraint import Constraint, GcRange, Motifs
from megabase.genome.vocabulary import DNA, DNA_VOCABULARY, TokenArray
from megabase.inference.predictor import Predictor
from megabase.inference.sampling import Sampling, check_request, constraint_of
from megabase.io.derived_files import file_sha256
from megabase.io.fasta import write_fasta
from megabase.io.sequence_file import holds_sequences, read_sequences
from megabase.pipelines.pipeline import DEFAULTS, Pipeline, Request, RunOptions
from megabase.pipelines.sequences import open_sequences
from megabase.runtime.artifacts import Output, check_no_input, check_place

_log = logging.getLogger(__name__)

_FROM_NOTHING = "generated"
_READ = DNA.bases + DNA.unknown


@dataclass(frozen=True, kw_only=True)
class GenerationRequest(Request):
    """Everything that determines the output of `generate`, whose parameters it has."""

    command: ClassVar[str] = "generate"

    length: int
    number: int
    seed: int
    temperature: float
    top_k: int
    top_p: float
    forbid: str | None
    gc: str | None
    prompt: str | None
    template: str | None


class _Sequence(NamedTuple):
    """A sequence to generate: its name, its prompt, and its number: prompt and continuation."""

    name: str
    prompt: TokenArray
    number: tuple[int, int]


def generate(
    model: str,
    output: Path,
    *,
    length: int,
    prompt: Path | None = None,
    number: int = 1,
    template: Path | None = None,
    forbid: Sequence[str] = (),
    gc: str | None = None,
    seed: int = 0,
    temperature: float = 1.0,
    top_k: int = len(DNA.bases),
    top_p: float = 1.0,
    options: RunOptions = DEFAULTS,
) -> None:
    """Generate sequences, or continuations of the sequences of a FASTA file.

    The output is FASTA of the new bases only. A header has the name, the prompt's length in
    bp, and the log-likelihood in nats of the new bases, as `inference.generate` defines it.

    Parameters
    ----------
    model
        Folder, file or hub id of the model.
    output
        The FASTA file to write.
    length
        Bases to add to each prompt.
    prompt
        FASTA or FASTQ of the sequences to continue; None: start from nothing.
    number
        Continuations of each prompt; without prompts, sequences in total.
    template
        FASTA of one sequence of `length` letters: bases that are fixed, or N where a base is
        to be drawn.
    forbid
        Motifs of IUPAC letters that the new bases must not complete, on either strand.
    gc
        ``LOW-HIGH``: range of the fraction of G and C in the new bases; None: any.
    seed
        Seed of the random numbers; each sequence has its own, independent of the batch.
    temperature
        Divides the log-probabilities; below 1 likely bases become likelier.
    top_k
        Draw only from the `top_k` likeliest bases; 1 always takes the likeliest.
    top_p
        Draw only from the fewest likeliest bases that together reach this probability.
    options
        How to compute; with `deterministic` one sequence is generated at a time.

    Raises
    ------
    InputError
        If an input or option is invalid, a prompt and the length exceed the model's context, or
        no sequence meets the constraints.
    """
    sampling = Sampling(temperature, top_k, top_p)
    motifs, gc_range = Motifs(forbid), None if gc is None else GcRange.from_text(gc)
    inputs = {"prompt": prompt, "template": template}
    check_no_input(output, filter(None, inputs.values()))
    sequences = _sequences(prompt, number)
    prompts = [sequence.prompt for sequence in sequences]
    fixed = None if template is None else _read_template(template)
    check_place(output, is_folder=False)
    predictor = options.load(model)
    check_request(
        prompts, length, context_length=predictor.context_length, template=fixed, seed=seed
    )
    request = GenerationRequest(
        model=predictor.weights_sha256,
        length=length,
        number=number,
        seed=seed,
        **asdict(sampling),
        forbid=" ".join(motifs.motifs) or None,
        gc=None if gc is None else str(gc_range),
        **{key: file_sha256(path) if path else None for key, path in inputs.items()},
        **options.in_request(),
    )
    place = Output(output, request.record(), is_folder=False, overwrite=options.overwrite)
    if place.is_finished:
        return
    constraint = constraint_of(prompts, length, motifs=motifs, gc=gc_range, template=fixed)
    if constraint is not None:
        _log.info("constraint: %s", constraint)
    work = _Generation(predictor, sequences, request, options, sampling, fixed, constraint)
    work.run(place)


class _Generation(Pipeline[_Sequence, GenerationRequest]):
    """Text of the FASTA file.

    Parameters
    ----------
    predictor, sequences
        The model, and the sequences to generate.
    request, options
        What is computed, and how.
    sampling, template, constraint
        As `inference.generate` takes them.
    """

    title = "generating"
    unit = "bases"
    bases_in_part = sys.maxsize  # the memory limits a part

    def __init__(
        self,
        predictor: Predictor,
        sequences: Sequence[_Sequence],
        request: GenerationRequest,
        options: RunOptions,
        sampling: Sampling,
        template: TokenArray | None,
        constraint: Constraint | None,
    ) -> None:
        super().__init__(request, options.shard, predictor.device.type)
        self._predictor, self._sampling = predictor, sampling
        self._template = None if constraint else template
        self._constraint = constraint
        self._sequences = list(self.shard.of(sequences))
        self._batch_tokens = options.tokens_per_batch

    def announce(self, output: Path) -> None:
        del output
        if not self._sequences:
            _log.info("shard %s has no sequences: the output has none", self.shard)
            return
        plan = self._predictor.plan_generation(
            prompt_length=max(len(each.prompt) for each in self._sequences),
            length=self.request.length,
            n_sequences=len(self._sequences),
            batch_tokens=self._batch_tokens,
        )
        _log.info("generating: %s", plan)
        self.records_in_part = plan.at_once

    @property
    def total(self) -> int:
        return self.request.length * len(self._sequences)

    def records(self) -> Iterator[_Sequence]:
        return iter(self._sequences)

    def n_bases(self, record: _Sequence) -> int:
        del record
        return self.request.length

    def compute(self, part: Sequence[_Sequence], advance: Callable[[int], None]) -> bytes:
        made = self._predictor.generate(
            [sequence.prompt for sequence in part],
            self.request.length,
            sampling=self._sampling,
            seed=self.request.seed,
            numbers=[sequence.number for sequence in part],
            template=self._template,
            constraint=self._constraint,
            advance=advance,
        )
        text = io.StringIO()
        for sequence, each in zip(part, made, strict=True):
            about = f"prompt_length={len(sequence.prompt)} log_likelihood={each.log_likelihood:.8g}"
            write_fasta(text, f"{sequence.name} {about}", DNA_VOCABULARY.decode(each.tokens))
        return text.getvalue().encode()

    def lines_per_record(self, body: Path) -> Iterator[int]:
        with body.open(encoding="utf-8") as file:
            numbers = [number for number, line in enumerate(file) if line.startswith(">")]
            file.seek(0)
            n_lines = sum(1 for _ in file)
        return (end - start for start, end in pairwise([*numbers, n_lines]))

    def write(self, path: Path, body: Path) -> None:
        shutil.copyfile(body, path)


def _sequences(prompt: Path | None, number: int) -> list[_Sequence]:
    """Return the sequences to generate: each prompt, or the empty prompt, `number` times."""
    if number < 1:
        raise InputError(f"the number of sequences must be at least 1, got {number}")
    nothing = np.zeros(0, dtype=np.uint8)
    prompts = [(_FROM_NOTHING, nothing)] if prompt is None else _read(prompt)
    return [
        _Sequence(f"{name}_{k + 1}", tokens, (index, k))
        for index, (name, tokens) in enumerate(prompts)
        for k in range(number)
    ]


def _read_template(path: Path) -> TokenArray:
    found = [*_read(path)]
    if len(found) != 1:
        raise InputError(f"a template must be one sequence, and {path} has {len(found)}; keep one")
    return found[0][1]


def _read(path: Path) -> Iterator[tuple[str, TokenArray]]:
    """Yield the name and tokens of each sequence; raise at letters other than A C G T N."""
    for name, letters in _named_letters(path):
        if found := re.search(f"[^{_READ}]", letters, flags=re.IGNORECASE):
            raise InputError(
                f"{found[0]!r} at position {found.start():,} (counted from 0) of {name} in {path} "
                f"is not one of {' '.join(_READ)}; replace it, with N if the base is unknown"
            )
        yield name, DNA_VOCABULARY.encode(letters, name=name).tokens


def _named_letters(path: Path) -> Iterator[tuple[str, str]]:
    """Yield name and letters of each sequence of a FASTA, FASTQ or 2bit file, also if empty."""
    if holds_sequences(path):
        yield from ((record.name, record.letters) for record in read_sequences(path))
        return
    sequences = open_sequences(str(path), None)
    yield from ((each.name, sequences.letters(n)) for n, each in enumerate(sequences.records))
