"""Check outputs against inputs, with independent readers as simple as the formats allow.

Each account is called with a case and the folder where it ran, after an exit code of 0. It yields
descriptions of the problems that it finds. If a mutation leaves the number of records ambiguous, an
account checks only that the output is complete.
"""

import csv
import gzip
import io
import json
import math
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.fuzz.mutations import blocks_of

DAMAGED = "damaged"
"""Replaces the text of a file that must be refused."""

_LETTERS = set("ACGTNRYSWKMBDHVacgtnryswkmbdhv")
_WHOLE = re.compile(r"[0-9]+")
_COMPLEMENT = str.maketrans("ACGTNRYSWKMBDHVacgtnryswkmbdhv", "TGCANYRSWMKVHDBtgcanyrswmkvhdb")
_PLUS, _MINUS = ("+", ".", "1", "+1"), ("-", "-1")


def text_of(data, errors="strict"):
    """Return the text of a possibly compressed file, or `DAMAGED`."""
    if data[:2] == b"\x1f\x8b":
        try:
            plain = gzip.decompress(data)
        except (EOFError, OSError, zlib.error):
            return DAMAGED
        if data[3:4] == b"\x04" and blocks_of(data)[-1][-4:] != b"\x00" * 4:
            return DAMAGED  # bgzip without the empty block that marks its end
        data = plain
    try:
        return data.decode("utf-8-sig", errors)
    except UnicodeDecodeError:
        return DAMAGED


def lines_of(text):
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def fasta_records(data, *, all_read=True):  # noqa: C901 one condition for each rule
    """Return (header, letters) of each record, `DAMAGED` to be refused, or None if ambiguous.

    Unless `all_read`, invalid letters are allowed, because contigs that are not read may have them.
    """
    text = text_of(data, "strict" if all_read else "replace")
    if text == DAMAGED:
        return DAMAGED
    found = []
    for line in lines_of(text):
        if line.startswith(">"):
            if "\ufffd" in first_word(line[1:]):
                return None  # a description, but not a name, may be of any bytes
            found.append([line[1:], ""])
        elif line.startswith(";"):
            return None
        elif line.strip(" \t"):
            if not found:
                return DAMAGED
            found[-1][1] += "".join(line.split(" ")).replace("\t", "")
    if all_read and any(set(letters) - _LETTERS for _, letters in found):
        return DAMAGED
    return found or DAMAGED


def fastq_records(data):
    text = text_of(data)
    if text == DAMAGED:
        return DAMAGED
    lines = lines_of(text.rstrip("\r\n"))
    found = []
    for at in range(0, len(lines), 4):
        record = lines[at : at + 4]
        if len(record) < 4 or record[0][:1] != "@" or record[2][:1] != "+":
            return None  # possibly a multi-line record
        if len(record[1]) != len(record[3]) or set(record[1]) - _LETTERS:
            return None
        found.append([record[0][1:], record[1]])
    return found


def first_word(header):
    return re.match(r"[ \t]*([^ \t]*)", header)[1]


def bed_records(data):
    """Return (contig, start, end, name, strand) of each line, or `DAMAGED`."""
    text = text_of(data)
    if text == DAMAGED:
        return DAMAGED
    found = []
    for line in lines_of(text):
        if not line.strip() or line.startswith("#") or line.split()[0] in ("track", "browser"):
            continue
        cells = line.split("\t") if "\t" in line else line.split()
        if len(cells) < 3 or not all(_WHOLE.fullmatch(cell.strip(" ")) for cell in cells[1:3]):
            return DAMAGED
        start, end = int(cells[1]), int(cells[2])
        strand = cells[5] if len(cells) > 5 else "+"
        if strand not in (*_PLUS, *_MINUS) or start >= end:
            return DAMAGED
        name = cells[3] if len(cells) > 3 else f"{cells[0]}:{start}-{end}"
        found.append((cells[0], start, end, name, "-" if strand in _MINUS else "+"))
    return found or DAMAGED


def letters_at(genome, record):
    """Return the letters of a BED record in a genome of (header, letters), or `DAMAGED`."""
    contigs = {first_word(header): letters for header, letters in genome}
    contig, start, end, _, strand = record
    if contig not in contigs or end > len(contigs[contig]):
        return DAMAGED
    letters = contigs[contig][start:end]
    if set(letters) - _LETTERS:
        return DAMAGED
    return letters if strand == "+" else letters.translate(_COMPLEMENT)[::-1]


def read_tsv(path, delimiter="\t"):
    with path.open(encoding="utf-8", newline="") as file:
        quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
        csv.field_size_limit(1 << 30)
        return list(csv.DictReader(file, delimiter=delimiter, quoting=quoting, strict=True))


def _n_known(letters):
    return sum(letters.upper().count(base) for base in "ACGT")


def _compared(what, expected, found) -> Iterator[str]:
    if len(expected) != len(found):
        yield f"wrong count: {len(found)} {what} for {len(expected)} records"
    elif expected != found:
        one, other = next(pair for pair in zip(expected, found, strict=True) if pair[0] != pair[1])
        yield f"wrong {what}: {str(other)[:80]!r} where the input has {str(one)[:80]!r}"


def _is_plain(text):
    """Return whether a name has neither control characters nor blanks at its ends."""
    return text.isprintable() and text == text.strip() and text != ""


def scored_sequences(records, path, likelihood=None):
    """Compare the output table of `score` with (name, letters) of each record."""
    rows = read_tsv(path)
    expected = [(name, letters) for name, letters in records if letters]
    if all(_is_plain(name) for name, _ in expected):
        yield from _compared("names", [name for name, _ in expected], [row["name"] for row in rows])
    else:
        yield from _compared("rows", ["x"] * len(expected), ["x"] * len(rows))
    if len(rows) != len(expected):
        return
    lengths = [(str(len(letters)), str(_n_known(letters))) for _, letters in expected]
    found = [(row["length"], row["n_scored"]) for row in rows]
    yield from _compared("lengths", lengths, found)
    for (name, letters), row in zip(expected, rows, strict=True):
        if lengths == found and _n_known(letters):
            yield from _near(name, likelihood(letters), float(row["log_likelihood"]))


def _near(name, expected, found):
    if not math.isclose(expected, found, rel_tol=1e-3, abs_tol=1e-3):
        yield f"wrong value: {found} for {name[:40]!r}, whose letters have {expected}"


def input_records(case):
    """Return (name, letters) of each record of the input, `DAMAGED`, or None if ambiguous."""
    data = case.files[case.target]
    if case.kind == "bed" or case.kind == "bed12" or case.role == "genome":
        source = case.files[case.regions]
        genome = fasta_records(case.files["genome.fa"], all_read=False)
        beds = bed_records(source)
        if DAMAGED in (genome, beds):
            return DAMAGED
        if genome is None or beds is None:
            return None
        names = [first_word(header) for header, _ in genome]
        if len(set(names)) < len(names):
            return DAMAGED
        found = [(each[3], letters_at(genome, each)) for each in beds]
        return DAMAGED if any(letters == DAMAGED for _, letters in found) else found
    records = fastq_records(data) if case.kind == "fastq" else fasta_records(data)
    if records is None or records == DAMAGED:
        return records
    return [(first_word(header), letters) for header, letters in records]


def _checked(case, check):
    """Yield a problem if a damaged input was accepted; else run `check` on unambiguous records."""
    records = input_records(case)
    if records == DAMAGED:
        yield "accepted what must be refused"
    elif records is not None:
        yield from check(records)


def of_score(case, folder):
    def check(records):
        return scored_sequences(records, folder / case.output, case.likelihood)

    yield from _checked(case, check)


def of_embed(case, folder):
    with np.load(folder / case.output, allow_pickle=False) as arrays:
        values, names = arrays["embeddings"], arrays["names"].tolist()

    def check(records):
        expected = [(name, letters) for name, letters in records if letters]
        if all(_is_plain(name) for name, _ in expected):
            yield from _compared("names", [name for name, _ in expected], names)
        elif len(names) != len(expected):
            yield f"wrong count: {len(names)} names for {len(expected)} records"

    if len(values) != len(names):
        yield f"wrong count: {len(values)} embeddings, {len(names)} names"
    if np.isinf(values).any() or np.isnan(values).any():
        yield "wrong value: embeddings that are NaN or infinite"
    yield from _checked(case, check)


def of_embed_table(case, folder):
    with np.load(folder / case.output, allow_pickle=False) as arrays:
        n_rows = len(arrays["embeddings"])
    expected = table_rows(case)
    if expected == DAMAGED:
        yield "accepted what must be refused"
    elif expected is not None and len(expected) - 1 != n_rows:
        yield f"wrong count: {n_rows} embeddings for {len(expected) - 1} rows"


def of_predict(case, folder):
    is_tsv = case.output.endswith(".tsv")
    rows = read_tsv(folder / case.output, "\t" if is_tsv else ",")
    for row in rows:
        total = sum(float(cell) for key, cell in row.items() if key.startswith("p_"))
        if not math.isclose(total, 1, abs_tol=1e-3):
            yield f"wrong value: probabilities add up to {total}"
            break
    if case.kind in ("fasta", "fasta packed", "fastq"):

        def check(records):
            if len(rows) != len(records):
                yield f"wrong count: {len(rows)} rows for {len(records)} records"
            else:
                letters = [each for _, each in records]
                yield from _compared("letters", letters, [row["sequence"] for row in rows])

        yield from _checked(case, check)
    elif case.kind == "table":
        yield from _same_table(case, rows)


def table_rows(case):
    """Return the rows of a text table, header first, `DAMAGED`, or None if ambiguous."""
    text = text_of(case.files[case.target])
    if text == DAMAGED:
        return DAMAGED
    if "\x00" in text or '"' in text or "\r" in text.replace("\r\n", ""):
        return None
    delimiter = "\t" if case.target.endswith((".tsv", ".tsv.gz")) else ","
    first = text.partition("\n")[0]
    if delimiter not in first or any(mark in first for mark in "\t;," if mark != delimiter):
        return None  # possibly of another format than its suffix
    if any(
        mark in text
        for mark in ("\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029")
    ):
        return None
    rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    if any(len(row) == 1 and not row[0].strip() for row in rows):
        return None
    rows = [row for row in rows if row]
    if not rows or len({len(row) for row in rows}) > 1:
        return DAMAGED
    return rows


def _same_table(case, rows):
    expected = table_rows(case)
    if expected == DAMAGED:
        yield "accepted what must be refused"
    elif expected is not None:
        header = expected[0]
        found = [[row.get(name) for name in header] for row in rows]
        yield from _compared("cells", expected[1:], found)


def of_mutagenesis(case, folder):
    rows = read_tsv(folder / case.output)

    def check(records):
        expected = 3 * sum(_n_known(letters) for _, letters in records)
        if len(rows) != expected:
            yield f"wrong count: {len(rows)} rows for {expected} substitutions"

    if not all(math.isfinite(float(row["llr"])) for row in rows):
        yield "wrong value: a ratio that is NaN or infinite"
    yield from _checked(case, check)


def of_tracks(case, folder):
    genome = fasta_records(case.files["genome.fa"]) if case.target == "genome.fa" else None
    if genome == DAMAGED:
        yield "accepted what must be refused"
        return
    covered = {}
    for line in (folder / case.output).read_text().splitlines():
        contig, start, end, value = line.split("\t")
        covered[contig] = covered.get(contig, 0) + int(end) - int(start)
        if not math.isfinite(float(value)):
            yield f"wrong value: {line}"
            return
    if genome is not None:
        expected = {
            first_word(header): _n_known(letters) for header, letters in genome if _n_known(letters)
        }
        yield from _compared("covered bases", sorted(expected.items()), sorted(covered.items()))


def vcf_lines(data):
    """Return the record lines of a VCF file, `DAMAGED`, or None if it is not plain VCF."""
    text = text_of(data, errors="surrogateescape")
    if text == DAMAGED or "\x00" in text:
        return None
    lines = [line for line in lines_of(text) if line.strip(" ")]
    try:
        head = next(n for n, line in enumerate(lines) if line.startswith("#CHROM"))
    except StopIteration:
        return DAMAGED
    records = lines[head + 1 :]
    return records


def of_score_vcf(case, folder):
    output = folder / case.output
    records = vcf_lines(case.files[case.target]) if case.kind == "vcf" else None
    if records == DAMAGED:
        yield "accepted what must be refused"
        return
    if case.output.endswith(".tsv"):
        rows = read_tsv(output)
        if records is not None:
            n_alts = sum(_n_alts(line.split("\t")) for line in records)
            if n_alts != len(rows):
                yield f"wrong count: {len(rows)} rows for {n_alts} alleles"
        return
    data = output.read_bytes()
    text = text_of(data, errors="surrogateescape")
    found = [line for line in text.split("\n") if line]
    head = next(n for n, line in enumerate(found) if line.startswith("#CHROM"))
    found = found[head + 1 :]
    for line in found:
        if not _info_is_whole(line):
            yield f"wrong value: {line[:100]!r}"
            break
    if records is not None:
        yield from _compared(
            "records", [_without_ours(r) for r in records], [_without_ours(r) for r in found]
        )


def _n_alts(cells):
    return 0 if len(cells) < 5 or cells[4] == "." else len(cells[4].split(","))


def _info_is_whole(line):
    cells = line.split("\t")
    info = dict(each.partition("=")[::2] for each in cells[7].split(";"))
    n = _n_alts(cells)
    if not n:
        return True
    values = info.get("MB_LLR", "").split(",")
    reasons = info.get("MB_SKIP", ",".join(["."] * n)).split(",")
    return len(values) == n == len(reasons) and all(
        (value == ".") != (reason == ".") and (value == "." or math.isfinite(float(value)))
        for value, reason in zip(values, reasons, strict=True)
    )


def _without_ours(line):
    cells = line.split("\t")
    if len(cells) > 7:
        kept = [e for e in cells[7].split(";") if not e.startswith("MB_")]
        cells[7] = ";".join(kept) or "."
    return cells


def of_generate(case, folder):
    records = fasta_records((folder / case.output).read_bytes())
    if records == DAMAGED:
        yield "the output is not valid FASTA"
        return
    lengths = {len(letters) for _, letters in records}
    if lengths != {case.length}:
        yield f"wrong count: {sorted(lengths)} letters for {case.length}"
    if case.target == "prompt.fa":
        prompts = fasta_records(case.files["prompt.fa"])
        if prompts == DAMAGED:
            yield "accepted what must be refused"
        elif prompts is not None:
            expected = [f"{first_word(header)}_{k}" for header, _ in prompts for k in (1, 2)]
            if all(_is_plain(name) for name in expected):
                yield from _compared(
                    "names", expected, [first_word(header) for header, _ in records]
                )


def of_model_folder(case, folder):
    """Check that a trained or converted folder is finished and complete."""
    place = folder / case.output
    record = json.loads((place / "megabase.json").read_text())
    if record["finished"] is not True:
        yield "half-written: its record is not marked as finished"
    for name in record["files"]:
        if not (place / name).is_file():
            yield f"half-written: {name} is missing"
    if (place / "metrics.json").is_file() and case.kind == "table":
        yield from _trained_rows(case, json.loads((place / "metrics.json").read_text()))


def _trained_rows(case, metrics):
    rows = table_rows(case)
    if rows == DAMAGED:
        yield "accepted what must be refused"
    elif rows is not None:
        n = metrics["n_rows"]
        if (found := n["training"] + n["validation"]) != len(rows) - 1:
            yield f"wrong count: {found} training and validation rows, of {len(rows) - 1}"


def of_json(case, folder):
    """Check that a report, or the output of info, is JSON with finite numbers."""
    text = (folder / (case.output or ".stdout")).read_text()

    def refuse(word):
        raise ValueError(word)

    try:
        json.loads(text, parse_constant=refuse)
    except ValueError as error:
        yield f"invalid strict JSON: {error}"


def of_nothing(case, folder):
    """Check only that an output exists; nothing else is known."""
    if case.output and not (folder / case.output).exists():
        yield "no output, and exit code 0"
    yield from ()


def likelihood_by(model: Path):
    """Return a function from letters to their log-likelihood in nats under a model."""
    from megabase.inference.predictor import Predictor  # noqa: PLC0415 takes long

    predictor = Predictor.load(str(model), device="cpu")
    known: dict[str, float] = {}

    def likelihood(letters):
        key = letters.upper()
        if key not in known:
            tokens = np.array(["ACGTN".find(each) + 7 if each in "ACGT" else 11 for each in key])
            (values,) = predictor.log_likelihoods(iter([tokens.astype(np.uint8)]))
            known[key] = float(np.nansum(values, dtype=np.float64))
        return known[key]

    return likelihood
