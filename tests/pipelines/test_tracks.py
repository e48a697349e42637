"""A track holds for each base what its window says, whatever was interrupted."""

import json

import numpy as np
import pytest
import torch

from megabase.errors import InputError, WorkError
from megabase.genome.vocabulary import DNA, DNA_VOCABULARY
from megabase.inference.predictor import Predictor
from megabase.inference.windows import windows
from megabase.model.load import save
from megabase.pipelines import tracks as module
from megabase.pipelines.pipeline import RunOptions, Shard
from megabase.pipelines.tracks import tracks
from megabase.runtime.artifacts import exclusive_lock
from tests import toys
from tests.full_disk import file_limit

CONTIGS = {"long": toys.letters(200) + "NNN" + toys.letters(30, seed=1), "short": "ACGTTGCA"}


@pytest.fixture
def paths(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_TOKENS_PER_PART", 128)  # two windows
    save(toys.model(), tmp_path / "model")
    genome = toys.write_fasta(tmp_path / "genome.fa", CONTIGS)
    return str(tmp_path / "model"), str(genome), tmp_path


def read(path):
    """Return, by contig, an array of values; NaN if missing."""
    values = {contig: np.full(len(letters), np.nan) for contig, letters in CONTIGS.items()}
    for line in path.read_text().splitlines():
        contig, start, end, value = line.split("\t")
        assert int(end) == int(start) + 1
        values[contig][int(start)] = float(value)
    return values


def expected(model, letters, stride=32):
    tokens = DNA_VOCABULARY.encode(letters, name="x").tokens
    values = []
    for window in windows(len(tokens), 64, stride):
        (of_window,) = Predictor.load(model).log_likelihoods([tokens[window.start : window.end]])
        values.append(of_window[window.first - window.start :])
    return -np.concatenate(values) / np.log(2)


def test_surprisal_is_that_of_the_windows_on_both_strands(paths):
    model, genome, folder = paths
    tracks(model, genome, folder / "one.bedgraph", strand="forward")
    tracks(model, genome, folder / "both.bg")
    one, both = read(folder / "one.bedgraph"), read(folder / "both.bg")
    for contig, letters in CONTIGS.items():
        forward = expected(model, letters)
        reverse = expected(model, DNA.reverse_complement(letters))[::-1]
        np.testing.assert_allclose(one[contig], forward, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(both[contig], (forward + reverse) / 2, rtol=1e-4, atol=1e-5)
    assert np.isnan(one["long"][200:203]).all()


def test_probabilities_sum_to_one_and_entropy_is_theirs(paths):
    model, genome, folder = paths
    found = {}
    for name in ("p_A", "p_C", "p_G", "p_T", "entropy"):
        tracks(model, genome, folder / f"{name}.bg", quantity=name, strand="forward")
        found[name] = read(folder / f"{name}.bg")["long"]
    p = np.stack([found[f"p_{base}"] for base in "ACGT"])
    np.testing.assert_allclose(p.sum(axis=0), 1.0, rtol=1e-4)
    np.testing.assert_allclose(found["entropy"], -(p * np.log2(p)).sum(axis=0), rtol=1e-4)


def test_a_letter_on_the_other_strand_is_its_complement(paths):
    model, genome, folder = paths
    for name in ("p_A", "p_T"):
        tracks(model, genome, folder / f"{name}.bg", quantity=name)
    turned = {contig: DNA.reverse_complement(letters) for contig, letters in CONTIGS.items()}
    other = toys.write_fasta(folder / "turned.fa", turned)
    tracks(model, str(other), folder / "turned.bg", quantity="p_T")
    for contig in CONTIGS:
        np.testing.assert_allclose(
            read(folder / "turned.bg")[contig][::-1], read(folder / "p_A.bg")[contig], rtol=1e-4
        )


def test_two_processes_do_not_write_one_track(paths):
    model, genome, folder = paths
    with exclusive_lock(folder / "a.bg", is_folder=False):
        with pytest.raises(InputError, match="another process is writing"):
            tracks(model, genome, folder / "a.bg")
    tracks(model, genome, folder / "a.bg")
    assert not list(folder.glob(".a*"))


def test_work_of_another_kind_of_device_is_restarted(paths, monkeypatch, caplog):
    model, genome, folder = paths
    caplog.set_level("INFO", logger="megabase")
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_bedgraph", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            tracks(model, genome, folder / "a.bg")
    note = folder / ".a.bg.parts" / "done.json"
    note.write_text(note.read_text().replace('"device": "cpu"', '"device": "cuda"'))
    tracks(model, genome, folder / "a.bg", options=RunOptions(device="cpu"))
    assert "starting over" in caplog.text
    assert "device was 'cuda', is 'cpu'" in caplog.text
    record = json.loads((folder / "a.bg.megabase.json").read_text())
    assert record["results"] == {"stride": 32, "least_context": 32, "device": "cpu"}


def test_bigwig_holds_what_bedgraph_does(paths):
    pybigtools = pytest.importorskip("pybigtools")
    model, genome, folder = paths
    tracks(model, genome, folder / "a.BW")
    (folder / "a.BW").rename(folder / "a.bw")
    tracks(model, genome, folder / "a.bg")
    with pybigtools.open(str(folder / "a.bw")) as file:
        assert file.chroms() == {contig: len(letters) for contig, letters in CONTIGS.items()}
        for contig, values in read(folder / "a.bg").items():
            found = np.full(len(values), np.nan)
            for start, _, value in file.records(contig):
                found[start] = value
            np.testing.assert_allclose(found, values, rtol=1e-4)


def test_a_genome_without_a_value_makes_no_bigwig(paths):
    pytest.importorskip("pybigtools")
    model, _, folder = paths
    genome = toys.write_fasta(folder / "n.fa", {"long": "N" * 200})
    with pytest.raises(WorkError, match="no base has a value"):
        tracks(model, str(genome), folder / "a.bw")
    assert not (folder / "a.bw").exists()


def test_a_model_that_has_diverged_is_a_failure(paths):
    _, genome, folder = paths
    broken = toys.model()
    broken.backbone.norm.weight.data[0] = torch.nan
    save(broken, folder / "broken")
    with pytest.raises(WorkError, match="the model's output is NaN"):
        tracks(str(folder / "broken"), genome, folder / "a.bg")
    assert not (folder / "a.bg").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quantity": "loss"}, "a quantity: expected one of surprisal, entropy"),
        ({"strand": "-"}, "the strand must be one of average, forward; got '-'"),
        ({"stride": 65}, "from 1 to the context of 64 tokens, got 65"),
        ({"output": "a.txt"}, "ends in: expected one of .bw, .bigwig, .bedgraph, .bg; got '.txt'"),
    ],
)
def test_invalid_options_are_an_error_before_anything_is_written(paths, change, message):
    model, genome, folder = paths
    before = sorted(folder.iterdir())
    output = folder / change.pop("output", "a.bg")
    with pytest.raises(InputError, match=message):
        tracks(model, genome, output, **change)
    assert [path for path in sorted(folder.iterdir()) if path.suffix != ".fai"] == before


def test_a_missing_extra_is_named(paths, monkeypatch):
    model, genome, folder = paths
    monkeypatch.setattr("megabase.io.value_tracks.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'megabase\[bigwig\]'"):
        tracks(model, genome, folder / "a.bw")


@pytest.mark.parametrize(
    "change", [{"stride": 16}, {"strand": "forward"}, {"quantity": "p_A"}, {"genome": "other.fa"}]
)
def test_each_option_that_decides_a_value_makes_another_request(paths, change):
    model, genome, folder = paths
    toys.write_fasta(folder / "other.fa", {"long": "ACGT"})
    tracks(model, genome, folder / "a.bg")
    (key,) = change
    asked = str(folder / change["genome"]) if key == "genome" else genome
    options = {name: value for name, value in change.items() if name != "genome"}
    with pytest.raises(InputError, match=rf"another request \({key} was"):
        tracks(model, asked, folder / "a.bg", **options)


def test_a_track_on_a_full_disk_is_neither_written_nor_finished(paths):
    """Its parts fit below the limit, the bigWig does not; the same command then goes on."""
    pytest.importorskip("pybigtools")
    model, genome, folder = paths
    tracks(model, genome, folder / "whole.bw")
    size = (folder / "whole.bw").stat().st_size
    with file_limit(size - 1), pytest.raises(WorkError, match="bigWig could not be written"):
        tracks(model, genome, folder / "a.bw")
    assert [path.name for path in folder.glob("*a.bw*")] == [".a.bw.parts"]
    tracks(model, genome, folder / "a.bw")
    assert (folder / "a.bw").read_bytes() == (folder / "whole.bw").read_bytes()


def test_regions_have_the_values_of_the_whole_track_and_the_rest_has_none(paths):
    model, genome, folder = paths
    (folder / "r.bed").write_text(
        "long\t150\t230\tlater\t0\t-\nlong\t3\t40\nlong\t30\t60\nshort\t2\t8\n"
    )
    tracks(model, genome, folder / "whole.bg")
    tracks(model, genome, folder / "some.bg", regions=folder / "r.bed")
    whole, some = read(folder / "whole.bg"), read(folder / "some.bg")
    inside = {contig: np.zeros(len(letters), bool) for contig, letters in CONTIGS.items()}
    inside["long"][3:60] = inside["long"][150:230] = inside["short"][2:8] = True
    for contig in CONTIGS:
        np.testing.assert_allclose(some[contig][inside[contig]], whole[contig][inside[contig]],
                                   rtol=1e-4)  # fmt: skip
        assert np.isnan(some[contig][~inside[contig]]).all()
    lines = (folder / "some.bg").read_text().splitlines()
    starts = [(line.split("\t")[0], int(line.split("\t")[1])) for line in lines]
    assert starts == sorted(starts)


@pytest.mark.parametrize("regions", [None, "long\t3\t40\nlong\t99\t180\nshort\t0\t5\n"])
def test_shards_in_order_are_the_whole_track_to_the_byte(paths, regions):
    model, genome, folder = paths
    bed = None
    if regions:
        bed = folder / "r.bed"
        bed.write_text(regions)
    tracks(model, genome, folder / "whole.bg", regions=bed)
    shards = [folder / f"{i}.bg" for i in range(1, 4)]
    for number, path in enumerate(shards, start=1):
        tracks(model, genome, path, regions=bed, options=RunOptions(shard=Shard(number, 3)))
        assert path.read_bytes()
    joined = b"".join(path.read_bytes() for path in shards)
    assert joined == (folder / "whole.bg").read_bytes()


def test_more_shards_than_parts_leave_some_empty(paths, caplog):
    model, genome, folder = paths
    caplog.set_level("INFO", logger="megabase")
    tracks(model, genome, folder / "one.bg", options=RunOptions(shard=Shard(1, 99)))
    assert (folder / "one.bg").read_bytes() == b""
    assert "shard 1/99 has no bases" in caplog.text


def test_contigs_have_their_new_names(paths):
    pybigtools = pytest.importorskip("pybigtools")
    model, genome, folder = paths
    (folder / "names.txt").write_text("long chr1\nother chr9\n")
    tracks(model, genome, folder / "old.bg")
    for name in ("new.bg", "new.bw"):
        tracks(model, genome, folder / name, rename_contigs=folder / "names.txt")
    old = (folder / "old.bg").read_text()
    assert (folder / "new.bg").read_text() == old.replace("long\t", "chr1\t")
    assert pybigtools.open(str(folder / "new.bw")).chroms() == {"chr1": 233, "short": 8}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("chrX a\n", "has no contig of .*genome.fa, which has long, short"),
        ("long short\n", "'long' and 'short' would both be 'short'"),
        ("long a b\n", "line 1: expected two names, of the genome and of the track"),
    ],
)
def test_invalid_new_names_are_an_error(paths, names, message):
    model, genome, folder = paths
    (folder / "names.txt").write_text(names)
    with pytest.raises(InputError, match=message):
        tracks(model, genome, folder / "a.bg", rename_contigs=folder / "names.txt")
    assert not (folder / "a.bg").exists()
