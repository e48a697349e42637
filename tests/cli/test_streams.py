"""Standard input, standard output and pipes stand for files where they can; URLs never do."""

import csv
import errno
import gzip
import inspect
import io
import os
import signal
import sys
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import get_args, get_type_hints

import pysam.bcftools
import pytest
import typer

from megabase.cli.main import app, main
from megabase.cli.streams import show_rows, with_streams
from megabase.errors import WorkError
from megabase.model.classification import HyenaDNAForSequenceClassification
from megabase.model.load import save
from tests import toys
from tests.cli.command import run
from tests.cli.test_bad_input import refused
from tests.vcf_files import vcf_text, write_vcf_file

LETTERS = toys.letters(400)
BED = "chrI\t10\t60\tplus\t0\t+\nchrI\t80\t140\tminus\t0\t-\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streams")
    save(toys.model(), folder / "model")
    config = toys.config(num_labels=2)
    save(HyenaDNAForSequenceClassification(config).eval(), folder / "classifier")
    toys.write_fasta(folder / "genome.fa", {"chrI": LETTERS})
    toys.write_fasta(folder / "genes.fa", {"a": LETTERS[:50], "b": LETTERS[60:90]})
    (folder / "regions.bed").write_text(BED)
    (folder / "table.csv").write_text(f'name,sequence\n"x, y",{LETTERS[:40]}\nz,ACGT\n')
    (folder / "table.tsv").write_text(f"name\tsequence\nx\t{LETTERS[:40]}\n")
    rows = [("chrI", at, LETTERS[at - 1], "A" if LETTERS[at - 1] != "A" else "C", ".")
            for at in (50, 120, 300)]  # fmt: skip
    for name in ("in.vcf", "in.vcf.gz", "in.bcf"):
        write_vcf_file(folder / name, vcf_text(rows))
    for name in ("genes.fa", "regions.bed"):
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
    pysam.bcftools.view(
        "-Ou", "-o", str(folder / "plain.bcf"), str(folder / "in.vcf"), catch_stdout=False
    )
    return folder


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A folder of its own for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def feed(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))


SCORE = ["score", "--model", "model"]
SCORE_VCF = ["score-vcf", "--model", "model", "--genome", "genome.fa"]
IN_GENOME = ["--genome", "genome.fa"]


@pytest.mark.parametrize(
    ("verb", "option", "source", "suffix"),
    [
        (SCORE, "--input", "genes.fa", ".tsv"),
        (SCORE, "--input", "genes.fa.gz", ".tsv"),
        ([*SCORE, *IN_GENOME], "--input", "regions.bed", ".tsv"),
        ([*SCORE, *IN_GENOME], "--input", "regions.bed.gz", ".tsv"),
        ([*SCORE, "--input", "regions.bed"], "--genome", "genome.fa", ".tsv"),
        (SCORE_VCF, "--input", "in.vcf", ".vcf"),
        (SCORE_VCF, "--input", "in.vcf.gz", ".vcf"),
        (SCORE_VCF, "--input", "in.bcf", ".vcf"),
        (SCORE_VCF, "--input", "plain.bcf", ".vcf"),
        (["tracks", "--model", "model"], "--genome", "genome.fa", ".bedgraph"),
        (["generate", "--model", "model", "--length", 9], "--prompt", "genes.fa", ".fa"),
        (["mutagenesis", "--model", "model", "--window", 16, *IN_GENOME], "--regions",
         "regions.bed", ".tsv"),
        (["predict", "--model", "classifier"], "--input", "table.csv", ".csv"),
        (["predict", "--model", "classifier"], "--input", "table.tsv", ".tsv"),
        (["predict", "--model", "classifier"], "--input", "genes.fa", ".tsv"),
        (["predict", "--model", "classifier", *IN_GENOME], "--input", "regions.bed", ".tsv"),
        (["evaluate", "perplexity", "--model", "model", *IN_GENOME], "--regions", "regions.bed",
         ".json"),
    ],
)  # fmt: skip
def test_a_stream_gives_what_a_file_gives_and_nothing_else(
    capsysbinary, folder, tmp_path, monkeypatch, temporary, verb, option, source, suffix
):
    monkeypatch.chdir(folder)
    output = tmp_path / f"output{suffix}"
    answer = run(capsysbinary, *verb, option, source, "--output", output)
    assert answer.code == 0, answer.err
    feed(monkeypatch, Path(source).read_bytes())
    answer = run(capsysbinary, *verb, option, "-", "--output", "-")
    assert answer.code == 0, answer.err
    assert without_command(answer.out) == without_command(output.read_bytes())
    assert not [*temporary.iterdir()]
    assert not (folder / "-").exists()


def without_command(content):
    lines = content.splitlines(keepends=True)
    return [line for line in lines if b"megabase_command" not in line]


@pytest.mark.parametrize(
    ("source", "more"),
    [("regions.bed", IN_GENOME), ("in.bcf", IN_GENOME), ("in.vcf.gz", IN_GENOME), ("genes.fa", [])],
)
def test_embed_recognizes_what_standard_input_is(
    capsys, folder, tmp_path, monkeypatch, source, more
):
    monkeypatch.chdir(folder)
    outputs = [tmp_path / "file.npz", tmp_path / "stream.npz"]
    feed(monkeypatch, Path(source).read_bytes())
    for place, output in zip((source, "-"), outputs, strict=True):
        answer = run(capsys, "embed", "-m", "model", "-i", place, *more, "-o", output)
        assert answer.code == 0, answer.err
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    feed(monkeypatch, Path(source).read_bytes())
    again = run(capsys, "embed", "-m", "model", "-i", "-", *more, "-o", outputs[1])
    assert "finished already by the same command" in again.err


def test_a_pipe_is_read_and_written_as_a_file_is(capsys, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    assert run(capsys, *SCORE, "-i", "genes.fa", "-o", tmp_path / "s.tsv").code == 0
    os.mkfifo(tmp_path / "in")
    os.mkfifo(tmp_path / "out")
    found = []
    threads = [
        threading.Thread(
            target=lambda: (tmp_path / "in").write_bytes(Path("genes.fa").read_bytes())
        ),
        threading.Thread(target=lambda: found.append((tmp_path / "out").read_bytes())),
    ]
    for thread in threads:
        thread.start()
    answer = run(capsys, *SCORE, "-i", tmp_path / "in", "-o", tmp_path / "out")
    for thread in threads:
        thread.join()
    assert (answer.code, answer.out) == (0, ""), answer.err
    assert found == [(tmp_path / "s.tsv").read_bytes()]


def places():
    """Yield verb, parameter and a command line that gives it a value, of every text or path."""
    for words, command in commands(typer.main.get_command(app)):
        kinds = get_type_hints(inspect.unwrap(command.callback))
        needed = [param for param in command.params if param.required]
        for param in command.params:
            if param.name == "patterns":  # names of tasks
                continue
            if not {str, Path} & {kinds[param.name], *each_kind(kinds[param.name])}:
                continue
            others = [each for each in needed if each is not param]
            yield words, param, [*words, *(text for each in others for text in given(each, "1"))]


def each_kind(kind):
    for part in get_args(kind):
        yield from (part, *each_kind(part))


def commands(command, words=()):
    for name, each in getattr(command, "commands", {}).items():
        yield from commands(each, (*words, name))
    if not hasattr(command, "commands"):
        yield list(words), command


def given(param, value):
    return [value] if param.param_type_name == "argument" else [param.opts[0], value]


PLACES = [
    pytest.param(words, param, line, id=f"{'-'.join(words)} {param.name}")
    for words, param, line in places()
]
SETTINGS = ("overrides", "sweep")
"""Texts KEY=VALUE, which the configuration checks."""


@pytest.mark.parametrize(("words", "param", "line"), PLACES)
def test_a_url_is_refused_by_every_option(capsys, words, param, line):
    if param.name in SETTINGS:
        line, value = [*line, "--output", "o"], "model=https://example.org/a/b"
    else:
        value = "https://example.org/a/b"
    answer = run(capsys, *line, *given(param, value))
    assert refused(answer, "https://example.org/a/b is a URL"), answer.err


NO_PLACES = {
    "adapt", "compressor", "crop", "delimiter", "device", "dtype", "forbid", "gc", "kind",
    "label_column", "label_text", "layout", "memory", "mode", "pooling", "precision", "preset",
    "protocol", "quantity", "rows", "sequence_column", "shard", "shots", "strand", "task", "tasks",
    *SETTINGS,
}  # fmt: skip
READ = {
    "score": ("source", "genome"), "score-vcf": ("source", "genome"),
    "embed": ("source", "genome"),
    "predict": ("source", "genome"), "tracks": ("genome", "regions"),
    "generate": ("prompt", "template"),
    "mutagenesis": ("genome", "regions"), "evaluate perplexity": ("genome", "regions"),
}  # fmt: skip
WRITTEN = (
    "score", "score-vcf", "predict", "tracks", "generate", "mutagenesis", "evaluate perplexity",
)  # fmt: skip


@pytest.mark.parametrize(
    ("words", "param", "line"), [each for each in PLACES if each.values[1].name not in NO_PLACES]
)
def test_where_a_stream_cannot_be_used_it_is_refused_with_the_reason(capsys, words, param, line):
    verb = " ".join(words)
    if param.name in READ.get(verb, ()) or (param.name == "output" and verb in WRITTEN):
        pytest.skip("accepts a stream")
    answer = run(capsys, *line, *given(param, "-"))
    assert refused(answer, "cannot be '-': ")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://a.org/g.fa", "download it first (curl -LO http://a.org/g.fa), then give its path"),
        ("ftp://a.org/g.fa.gz", "download it first (curl -LO ftp://a.org/g.fa.gz)"),
        ("s3://bucket/g.fa", "download it first (aws s3 cp s3://bucket/g.fa .)"),
        ("gs://bucket/g.fa", "download it first (gcloud storage cp gs://bucket/g.fa .)"),
        ("file:///data/g.fa", "give the path of the file: /data/g.fa"),
        ("file:/data/g.fa", "give the path of the file: /data/g.fa"),
        ("HTTPS://a.org/g.fa", "HTTPS://a.org/g.fa is a URL"),
        ("sftp://host/g.fa", "download it first, then"),
    ],
)
def test_each_kind_of_url_is_refused_with_a_remedy(capsys, tmp_path, url, message):
    for line in (
        ["score", "-i", url, "-o", tmp_path / "s.tsv"],
        ["predict", "-m", "m", "-i", url, "-o", tmp_path / "s.tsv"],
        ["pretrain", "--set", f"genome={url}", "-o", tmp_path / "m"],
        ["pretrain", "--set", f"genomes={{a: {{path: '{url}'}}}}", "-o", tmp_path / "m"],
    ):
        assert refused(run(capsys, *line), message)
    assert not [*tmp_path.iterdir()]


def test_a_url_of_an_output_or_of_a_hub_model(capsys):
    answer = run(capsys, "score", "-i", "a.fa", "-o", "s3://bucket/s.tsv")
    assert refused(answer, "s3://bucket/s.tsv is a URL, and outputs are local")
    answer = run(
        capsys, "info", "-m", "https://huggingface.co/LongSafari/hyenadna-tiny-1k-seqlen-hf"
    )
    assert refused(answer, "give its id: LongSafari/hyenadna-tiny-1k-seqlen-hf")


def test_a_path_that_looks_like_a_url_but_is_there_is_read(capsys, folder, tmp_path, monkeypatch):
    place = tmp_path / "run:" / "1.fa"
    place.parent.mkdir()
    place.write_bytes((folder / "genes.fa").read_bytes())
    monkeypatch.chdir(tmp_path)
    options = ["-m", folder / "model", "-i", "run:/1.fa", "-o", "s.tsv"]
    assert run(capsys, "score", *options).code == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "standard input is empty"),
        (b">a\nACGT!\n", "'!' at position 4"),
        (b"chrI\t10\t9\n", "standard input, line 1: "),
        (gzip.compress(BED.encode() * 99, mtime=0)[:-9], "standard input is truncated"),
    ],
)
def test_an_error_names_standard_input_and_leaves_nothing(
    capsys, folder, monkeypatch, temporary, content, message
):
    monkeypatch.chdir(folder)
    feed(monkeypatch, content)
    more = [] if content.startswith(b">") else IN_GENOME
    answer = run(capsys, *SCORE, *more, "-i", "-", "-o", "-")
    assert refused(answer, message)
    assert answer.out == ""
    assert not [*temporary.iterdir()]


def test_only_one_input_is_standard_input(capsys):
    answer = run(capsys, "score", "-i", "-", "-g", "/dev/stdin", "-o", "s.tsv")
    assert refused(answer, "--input and --genome cannot both be standard input")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_no_temporary_file(capsys, folder, monkeypatch, temporary, number):
    def read(_):
        assert [*temporary.iterdir()]
        os.kill(os.getpid(), number)
        return b""

    before = signal.getsignal(number)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=SimpleNamespace(read=read)))
    answer = run(capsys, "score", "-m", folder / "model", "-i", "-", "-o", "-")
    assert answer.code in (128 + number, 1, 130)
    assert answer.code
    assert not [*temporary.iterdir()]
    assert signal.getsignal(number) == before


class Gone(io.StringIO):
    """Standard output whose reader has gone."""

    @property
    def buffer(self):
        return SimpleNamespace(write=self.refuse, flush=self.refuse)

    def refuse(self, *_):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def test_a_reader_that_has_gone_ends_the_command_quietly(capsys, folder, monkeypatch):
    capsys.readouterr()
    options = ["-m", folder / "model", "-i", folder / "genes.fa", "-o", "-", "--quiet"]
    monkeypatch.setattr(sys, "stdout", Gone())
    monkeypatch.setattr(sys, "argv", ["megabase", "score", *map(str, options)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    assert capsys.readouterr().err == ""


def test_nothing_goes_to_standard_output_when_the_work_fails(capsys, monkeypatch, temporary):
    @with_streams(writes=".tsv")
    def verb(*, output: Path) -> None:
        output.write_text("half")
        raise WorkError(f"{output} could not be finished")

    with pytest.raises(WorkError, match=r"^standard output could not be finished$"):
        verb(output=Path("-"))
    assert capsys.readouterr().out == ""
    assert not [*temporary.iterdir()]


def test_the_table_for_standard_output_is_quoted_as_its_input(capsys, folder, monkeypatch):
    feed(monkeypatch, (folder / "table.csv").read_bytes())
    answer = run(capsys, "predict", "-m", folder / "classifier", "-i", "-", "-o", "-")
    assert next(csv.DictReader(io.StringIO(answer.out)))["name"] == "x, y"


ROWS = [("a", "1.5", "  (short)"), ("longer", "10", "[bold]" + " word" * 30)]


def become_a_terminal(monkeypatch):
    """Let the captured standard output, which pytest replaces before a test, have 60 columns."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")


def test_a_program_reads_a_line_for_each_row(capsys):
    show_rows(ROWS, "{:<8}{:>4}{}")
    assert capsys.readouterr().out.splitlines() == [
        "a        1.5  (short)",
        "longer    10[bold]" + " word" * 30,
    ]


def test_a_terminal_shows_aligned_columns_and_all_words(capsys, monkeypatch):
    become_a_terminal(monkeypatch)
    show_rows(ROWS, "{:<8}{:>4}{}")
    first, *others = capsys.readouterr().out.splitlines()
    assert first.split() == ["a", "1.5", "(short)"]
    assert first.index("1.5") + 3 == others[0].index("10") + 2
    assert first.index("(short)") == others[0].index("[bold]")
    assert " ".join(others).count("word") == 30
    assert max(map(len, [first, *others])) <= 60


def test_the_list_of_tasks_has_no_tabs_in_a_terminal(capsys, monkeypatch):
    become_a_terminal(monkeypatch)
    lines = run(capsys, "evaluate", "list", "gue/tf").out.splitlines()
    assert [line.split()[:3] for line in lines if "gue" in line] == [
        [f"gue/tf/{n}", "binary", "mcc"] for n in range(5)
    ]
    assert "\t" not in "".join(lines)
