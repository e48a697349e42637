"""A split is made of contigs, of a BED file or of fractions, and checked against the genome."""

import pytest

from megabase.data.token_store import open_token_store
from megabase.genome.interval import Interval
from megabase.training.run_config import SplitConfig
from megabase.training.sources import make_split
from tests.toys import letters, write_fasta


@pytest.fixture
def store(tmp_path):
    contigs = {"chrI": letters(1000), "chrII": letters(100), "chrM": letters(50)}
    return open_token_store(write_fasta(tmp_path / "genome.fa", contigs), cache=tmp_path)


def test_fractions_are_the_tails_of_contigs_and_of_what_is_left(store):
    split = make_split(SplitConfig(test_fraction=0.1, validation_fraction=0.1), store)
    assert split.train[0] == Interval("chrI", 0, 810)
    assert split.validation[0] == Interval("chrI", 810, 900)
    assert split.test == (
        Interval("chrI", 900, 1000),
        Interval("chrII", 90, 100),
        Interval("chrM", 45, 50),
    )


def test_contigs_go_whole(store):
    split = make_split(SplitConfig(test_contigs=("chrII",), validation_contigs=("chrM",)), store)
    assert split.train == (Interval("chrI", 0, 1000),)
    assert split.validation == (Interval("chrM", 0, 50),)
    assert split.test == (Interval("chrII", 0, 100),)


def test_regions_come_from_bed_files_and_the_test_goes_first(store, tmp_path):
    (tmp_path / "test.bed").write_text("chrI\t100\t200\n")
    (tmp_path / "validation.bed").write_text("chrI\t150\t300\n")
    config = SplitConfig(
        test_regions=str(tmp_path / "test.bed"), validation_regions=str(tmp_path / "validation.bed")
    )
    split = make_split(config, store)
    assert split.test == (Interval("chrI", 100, 200),)
    assert split.validation == (Interval("chrI", 200, 300),)
    assert split.train[:2] == (Interval("chrI", 0, 100), Interval("chrI", 300, 1000))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (SplitConfig(test_contigs=("chr1",)), r"'chr1' is not in .*did you mean .*'chrI'"),
        (SplitConfig(test_contigs=("I",)), r"did you mean 'chrI'"),
        (
            SplitConfig(test_contigs=("chrI",), validation_contigs=("chrI",)),
            "is in both test_contigs and validation_contigs",
        ),
        (SplitConfig(test_contigs=("chrI", "chrII", "chrM")), "leaves nothing"),
    ],
)
def test_an_invalid_split_is_an_error(store, config, message):
    with pytest.raises(ValueError, match=message):
        make_split(config, store)


def test_regions_may_be_written_as_people_do(store):
    config = SplitConfig(test_regions=("chrI:901-1,000", "chrII:1-10"))
    split = make_split(config, store)
    assert split.test == (Interval("chrI", 900, 1000), Interval("chrII", 0, 10))
    with pytest.raises(ValueError, match="ends beyond its contig"):
        make_split(SplitConfig(test_regions=("chrI:901-1,001",)), store)


def test_only_the_named_contigs_are_used(store):
    split = make_split(SplitConfig(), store, contigs=["chrII"])
    assert {interval.contig for part in (split.train, split.test) for interval in part} == {"chrII"}
    with pytest.raises(ValueError, match="is held out but not in contigs"):
        make_split(SplitConfig(test_contigs=("chrI",)), store, contigs=["chrII"])
    with pytest.raises(ValueError, match="'chr9' is not in"):
        make_split(SplitConfig(), store, contigs=["chr9"])


def test_a_held_out_fraction_holds_a_window_where_a_tenth_would(store):
    split = make_split(SplitConfig(), store, context_length=50)
    assert split.validation[0] == Interval("chrI", 850, 900)  # not 891, a hundredth of 900
    assert split.validation[1] == Interval("chrII", 89, 90)  # 50 is more than a tenth of 90
    none = SplitConfig(validation_fraction=0.0)
    assert make_split(none, store, context_length=50).validation == ()
