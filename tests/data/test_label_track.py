"""Labels of bases come from BED, bedGraph or bigWig, in the order of the strand that is read."""

import gzip
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megabase.data.label_track import open_label_track
from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.reference import MemoryReference
from megabase.io import value_tracks as tracks
from megabase.io.value_tracks import write_bigwig

GENOME = MemoryReference({"chr1": "A" * 40, "chr2": "C" * 20}, "g.fa")


def opened(tmp_path, text, name="labels.bed"):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    return open_label_track(path, GENOME)


def classes(track, contig, start, end, strand="+"):
    numbers = track.fetch(Interval(contig, start, end, strand))
    return [track.classes[number] for number in numbers]


@pytest.mark.parametrize("name", ["labels.bed", "labels.bed.gz", "LABELS.BED.bgz"])
def test_names_are_classes_and_bases_without_an_entry_have_class_none(tmp_path, name):
    track = opened(tmp_path, "chr1\t2\t4\texon\nchr1\t6\t7\tcds\nchr1\t3\t6\texon\n", name)
    assert track.classes == ("none", "cds", "exon")
    expected = ["none", "none", "exon", "exon", "exon", "exon", "cds", "none"]
    assert classes(track, "chr1", 0, 8) == expected
    assert classes(track, "chr1", 0, 8, "-") == expected[::-1]
    assert classes(track, "chr1", 3, 5) == expected[3:5]
    assert classes(track, "chr2", 0, 2) == ["none", "none"]


def test_entries_without_names_are_in(tmp_path):
    assert classes(opened(tmp_path, "chr1\t2\t4\n"), "chr1", 1, 4) == ["none", "in", "in"]
    assert opened(tmp_path, "chr1\t2\t4\t.\n").classes == ("none", "in")


@given(
    st.lists(st.tuples(st.integers(0, 38), st.integers(1, 20)), min_size=1),
    st.integers(0, 39), st.integers(1, 40),
)  # fmt: skip
def test_overlapping_entries_that_agree_are_their_union(tmp_path_factory, entries, start, length):
    inside, lines = np.zeros(80, dtype=bool), []
    for first, n in entries:
        inside[first : min(first + n, 40)] = True
        lines.append(f"chr1\t{first}\t{min(first + n, 40)}\tx\n")
    track = opened(tmp_path_factory.mktemp("union"), "".join(lines))
    found = track.fetch(Interval("chr1", start, start + length))
    np.testing.assert_array_equal(found == 1, inside[start : start + length])


def test_values_are_at_their_positions_and_others_are_nan(tmp_path):
    track = opened(tmp_path, "track type=bedGraph\nchr1 1 3 1.5\nchr1 4 5 -2\n", "v.bedgraph")
    assert track.classes == ()
    np.testing.assert_array_equal(
        track.fetch(Interval("chr1", 0, 6)), [np.nan, 1.5, 1.5, np.nan, -2, np.nan]
    )
    np.testing.assert_array_equal(track.fetch(Interval("chr1", 2, 5, "-")), [-2, np.nan, 1.5])


def test_a_bigwig_has_the_same_values(tmp_path):
    pytest.importorskip("pybigtools")
    values = np.array([1.5, np.nan, -2.0, 4.0], dtype=np.float32)
    write_bigwig(tmp_path / "v.bw", {"chr1": 40}, [(Interval("chr1", 5, 9), values)])
    track = open_label_track(tmp_path / "v.bw", GENOME)
    np.testing.assert_array_equal(track.fetch(Interval("chr1", 5, 9)), values)
    np.testing.assert_array_equal(track.fetch(Interval("chr1", 6, 10, "-"))[1:], values[:0:-1])
    assert np.isnan(track.fetch(Interval("chr2", 0, 9))).all()
    (tmp_path / "v.bw").write_bytes(b"chr1")
    with pytest.raises(InputError, match="not a readable bigWig file"):
        open_label_track(tmp_path / "v.bw", GENOME)


def test_without_its_extra_a_bigwig_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tracks, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"megabase\[bigwig\]"):
        open_label_track(tmp_path / "v.bw", GENOME)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "l.bed",
            "chr1\t0\t9\ta\nchr1\t3\t4\ta\nchr1\t8\t9\tb\n",
            "'a' and 'b' overlap .* position 8",
        ),
        ("l.bg", "chr1\t0\t9\t1\nchr1\t3\t4\t2.5\n", "of 1 and 2.5 overlap on chr1 at position 3"),
        ("l.bed", "chr1\t0\t9\ta\nchr1\t10\t14\n", "has no name, but others have one"),
        ("l.bed", "1\t0\t9\ta\n", "contig '1' is not in g.fa .* did you mean 'chr1'"),
        ("l.bed", "chr1\t0\t41\ta\n", "ends beyond its contig"),
        ("l.bg", "chr1\t0\t9\n", "line 1: expected contig, start, end .* finite number"),
        ("l.bg", "chr1\t0\t9\tnan\n", "finite number; got 'chr1 0 9 nan'"),
        ("l.bg", "chr1\t9\t9\t1\n", "start < end"),
        ("l.bg", "# nothing\n", "holds no label"),
        ("l.gff", "chr1\n", "expected labels of bases as BED"),
    ],
)
def test_invalid_labels_are_an_error(tmp_path, name, text, message):
    with pytest.raises(InputError, match=message):
        opened(tmp_path, text, name)


def test_contigs_that_the_genome_lacks_are_counted(tmp_path, caplog):
    with caplog.at_level("INFO"):
        opened(tmp_path, "chr1\t0\t9\ta\nchrX\t0\t9\tb\n")
    assert "labels on 1 contig that the genome lacks" in caplog.text


@pytest.mark.parametrize("n_bytes", [0, 100, 400, 600])
def test_a_bigwig_that_is_cut_short_is_an_error(tmp_path, n_bytes):
    path = tmp_path / "v.bw"
    write_bigwig(path, GENOME.lengths, [(Interval("chr1", 0, 40), np.ones(40, np.float32))])
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(InputError, match=r"v\.bw is (not a readable bigWig file|damaged in)"):
        open_label_track(path, GENOME).fetch(Interval("chr1", 3, 30))


@pytest.mark.parametrize("places", [[(0, 9)], [(5, 31)], [(5, 9), (8, 12)], [(9, 9)]])
def test_values_beyond_the_requested_regions_are_an_error(tmp_path, places):
    path = tmp_path / "v.bw"
    write_bigwig(path, GENOME.lengths, [(Interval("chr1", 0, 40), np.ones(40, np.float32))])
    file = tracks.BigWig(path)
    file._file = SimpleNamespace(records=lambda *_: [(start, end, 1.0) for start, end in places])
    with pytest.raises(InputError, match=r"v\.bw is damaged: requested chr1:\[3, 30\)"):
        list(file.entries(Interval("chr1", 3, 30)))
