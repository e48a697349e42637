"""VCF and BCF become sites in order, 0-based, and nothing but INFO changes on the way back."""

import struct

import pysam
import pytest

from megabase.errors import InputError, WorkError
from megabase.genome.variant import Site
from megabase.io.bcf import convert_to_bcf, with_contigs
from megabase.io.vcf import (
    InfoField,
    VcfFile,
    extended_header,
    index_vcf,
    printable,
    write_vcf,
)
from megabase.runtime.artifacts import atomic_path
from tests.full_disk import file_limit
from tests.vcf_files import COLUMNS, HEADER, vcf_text, write_vcf_file

ROWS = [
    ("chrI", 1, "A", "T", "DP=3"),
    ("chrI", 7, "AC", "A,ACC,<DEL>,*", "."),
    ("chrI", 7, "G", ".", "DP=4"),
]
SITES = [
    Site("chrI", 0, "A", ("T",)),
    Site("chrI", 6, "AC", ("A", "ACC", "<DEL>", "*")),
    Site("chrI", 6, "G", ()),
]


@pytest.mark.parametrize("name", ["a.vcf", "a.vcf.gz", "a.gzip", "a.bcf"])
def test_every_form_gives_the_same_sites(tmp_path, name):
    vcf = VcfFile(write_vcf_file(tmp_path / name, vcf_text(ROWS)))
    assert [record.site(record.contig) for record in vcf.records()] == SITES
    assert [record.site("1").contig for record in vcf.records()] == ["1"] * 3
    assert vcf.header[-1] == f"{COLUMNS}\tFORMAT\tsample"
    assert any("ID=DP" in line for line in vcf.header)


def test_a_record_goes_back_as_it_was_but_for_what_is_added(tmp_path):
    vcf = VcfFile(write_vcf_file(tmp_path / "a.vcf", vcf_text(ROWS)))
    lines = [record.with_info([], ["MB_X"]) for record in vcf.records()]
    assert "\n".join(lines) + "\n" == vcf_text(ROWS).split("sample\n")[1]
    added = [record.with_info(["MB_X=1"], ["MB_X"]).split("\t") for record in vcf.records()]
    assert [columns[7] for columns in added] == ["DP=3;MB_X=1", "MB_X=1", "DP=4;MB_X=1"]


def test_what_was_added_before_is_replaced(tmp_path):
    text = vcf_text([("chrI", 1, "A", "T", "MB_X=5;DP=3;MB_FLAG;MB_XY=7")])
    (record,) = VcfFile(write_vcf_file(tmp_path / "a.vcf", text)).records()
    line = record.with_info(["MB_X=1"], ["MB_X", "MB_FLAG"])
    assert line.split("\t")[7] == "DP=3;MB_XY=7;MB_X=1"


def test_bytes_that_are_not_utf8_and_windows_line_ends_are_kept(tmp_path):
    path = tmp_path / "a.vcf"
    path.write_bytes(f"{HEADER}{COLUMNS}\r\nchrI\t1\t".encode() + b"\xe9\tA\tT\t.\t.\tDP=3\r\n")
    (record,) = VcfFile(path).records()
    write_vcf(tmp_path / "b.vcf", [], [record.with_info(["MB_X=1"], [])], bgzip=False)
    written = (tmp_path / "b.vcf").read_bytes()
    assert written == b"chrI\t1\t\xe9\tA\tT\t.\t.\tDP=3;MB_X=1\n"
    assert printable(record.columns[2]) == "\\xe9"


def test_a_header_is_extended_once():
    field = InfoField("MB_X", "A", "Float", "of it")
    header = ["##fileformat=VCFv4.2", "##megabase_window=8", COLUMNS]
    once = extended_header(header, [field], {"window": "64"}, declared=["MB_X"], prefix="megabase_")
    assert once == [header[0], str(field), "##megabase_window=64", COLUMNS]
    assert (
        extended_header(once, [field], {"window": "64"}, declared=["MB_X"], prefix="megabase_")
        == once
    )


@pytest.mark.parametrize(
    "attributes",
    ["ID=MB_X,Number=1", "Number=A,ID=MB_X", 'Description="a, b",ID=MB_X', "Number=A, ID=MB_X"],
)
def test_an_earlier_declaration_is_replaced_wherever_its_id_is(attributes):
    lines = [f"##INFO=<{attributes},Type=String>", "##INFO=<ID=MB_XY,Number=1,Type=String>"]
    field = InfoField("MB_X", "A", "Float", "of it")
    found = extended_header([*lines, COLUMNS], [field], {}, declared=["MB_X"], prefix="megabase_")
    assert found == [lines[1], str(field), COLUMNS]


@pytest.mark.parametrize("longest", [400, 1 << 29])
def test_a_compressed_file_can_be_queried_by_region(tmp_path, longest):
    path, index = tmp_path / "a.vcf.gz", tmp_path / "a.vcf.gz.index"
    header = [*HEADER.splitlines(), f"{COLUMNS}\tFORMAT\tsample"]
    write_vcf(path, header, vcf_text(ROWS).split("sample\n")[1].splitlines(), bgzip=True)
    index_vcf(path, index, longest_contig=longest)
    with pysam.VariantFile(str(path), index_filename=str(index)) as file:
        assert [record.pos for record in file.fetch("chrI", 5, 10)] == [7, 7]


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="there is no VCF file"):
        VcfFile(tmp_path / "no.vcf")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected ##fileformat=VCF"),
        ("chrI\t1\t.\tA\tT\t.\t.\t.\n", "has no VCF header: .* got 'chrI"),
        (f"{COLUMNS}\nchrI\t1\t.\tA\tT\t.\t.\t.\n", "has no VCF header"),
        (">chrI\nACGT\n", "has no VCF header"),
        (f"{HEADER}chrI\t1\t.\tA\tT\t.\t.\t.\n", "no line of column names"),
        (f"{HEADER}", "no line of column names"),
    ],
)
def test_an_invalid_vcf_file_is_an_error(tmp_path, text, message):
    (tmp_path / "a.vcf").write_text(text)
    with pytest.raises(ValueError, match=message):
        VcfFile(tmp_path / "a.vcf")


@pytest.mark.parametrize("row", ["chrI 1 . A T . . .", "chrI\t1\tA", "# a comment", "#chrI\t1\tA"])
def test_an_invalid_record_is_an_error_with_its_line(tmp_path, row):
    (tmp_path / "a.vcf").write_text(vcf_text(ROWS) + row + "\n")
    with pytest.raises(ValueError, match="line 9: expected at least eight columns"):
        list(VcfFile(tmp_path / "a.vcf").records())


@pytest.mark.parametrize("position", ["0", "401", "one", "1e3", "-7", "", ".", "²"])
def test_a_record_is_read_wherever_it_lies(tmp_path, position):
    text = vcf_text([("chrI", position, "N", "]chrI:5]", "."), *ROWS])
    first, *others = VcfFile(write_vcf_file(tmp_path / "a.vcf", text)).records()
    number = int(position) if position in ("0", "401") else 0
    assert first.site("chrI") == Site("chrI", number - 1, "N", ("]chrI:5]",))
    assert first.has_position == (position in ("0", "401"))
    assert first.columns[1] == position
    assert [record.site("chrI") for record in others] == SITES


def test_a_record_whose_contig_begins_with_the_sign_of_comments_is_kept(tmp_path):
    text = vcf_text([("chrI", 1, "A", "T", "."), ("#chrI", 2, "A", "T", "."), *ROWS])
    vcf = VcfFile(write_vcf_file(tmp_path / "a.vcf", text))
    assert [record.contig for record in vcf.records()] == ["chrI", "#chrI", "chrI", "chrI", "chrI"]


def test_empty_lines_are_counted_and_a_second_header_is_an_error(tmp_path):
    text = vcf_text(ROWS)
    vcf = VcfFile(write_vcf_file(tmp_path / "a.vcf", text.replace("chrI\t7", "\nchrI\t7") + "  \n"))
    assert (len(list(vcf.records())), vcf.n_empty) == (3, 3)
    (tmp_path / "a.vcf").write_text(text + text)
    with pytest.raises(ValueError, match=r"line 9: a header line .* use bcftools concat"):
        list(vcf.records())
    (tmp_path / "a.vcf").write_text(text + f"{COLUMNS}\tFORMAT\tsample\n")
    with pytest.raises(ValueError, match=r"line 9: a header line"):
        list(vcf.records())


@pytest.mark.parametrize("name", ["a.vcf", "a.vcf.gz"])
def test_a_byte_order_mark_before_the_header_is_ignored(tmp_path, name):
    vcf = VcfFile(write_vcf_file(tmp_path / name, "\ufeff" + vcf_text(ROWS)))
    assert vcf.header[0] == "##fileformat=VCFv4.2"
    assert len(list(vcf.records())) == 3


def test_bytes_of_a_bcf_file_that_are_not_utf8_are_kept(tmp_path):
    header = HEADER + '##INFO=<ID=N,Number=1,Type=String,Description="caf\xe9">\n'
    plain = tmp_path / "a.vcf"
    plain.write_bytes(vcf_text([("chrI", 1, "A", "T", "N=\xe9")], header).encode("latin-1"))
    pysam.bcftools.view("-Ob", "-o", str(tmp_path / "a.bcf"), str(plain), catch_stdout=False)
    vcf = VcfFile(tmp_path / "a.bcf")
    (record,) = vcf.records()
    write_vcf(plain, [], [record.with_info([], [])], bgzip=False)
    assert b"N=\xe9\t" in plain.read_bytes()
    assert any("caf\udce9" in line for line in vcf.header)


@pytest.mark.parametrize("name", ["a.vcf", "a.vcf.gz"])
def test_a_nul_byte_is_an_error_that_names_its_line(tmp_path, name):
    path = write_vcf_file(tmp_path / name, vcf_text(ROWS).replace("rs1", "r\0"))
    with pytest.raises(ValueError, match=r"a\.vcf.*, line 7: a NUL byte; the file is damaged"):
        list(VcfFile(path).records())


def test_a_file_that_is_cut_short_is_an_error(tmp_path):
    for name, message in (
        ("a.vcf.gz", "end marker is missing"),
        ("a.bcf", "end marker is missing"),
        ("a.gzip", "truncated or damaged"),
    ):
        path = write_vcf_file(tmp_path / name, vcf_text(ROWS))
        path.write_bytes(path.read_bytes()[:-40])
        with pytest.raises(ValueError, match=message):
            list(VcfFile(path).records())


def test_damage_within_a_bgzip_file_is_an_error(tmp_path):
    path = write_vcf_file(tmp_path / "a.vcf.gz", vcf_text(ROWS * 5000))
    packed = bytearray(path.read_bytes())
    packed[len(packed) // 2 : len(packed) // 2 + 20] = bytes(20)
    path.write_bytes(packed)
    with pytest.raises(ValueError, match=r"truncated or damaged|expected at least eight columns"):
        list(VcfFile(path).records())


@pytest.mark.parametrize(("info", "expected"), [("AC=1;", "AC=1;MB_X=1"), ("", "MB_X=1")])
def test_an_empty_info_entry_stays_missing(tmp_path, info, expected):
    (record,) = VcfFile(
        write_vcf_file(tmp_path / "a.vcf", vcf_text([("chrI", 1, "A", "T", info)]))
    ).records()
    assert record.with_info(["MB_X=1"], []).split("\t")[7] == expected


def test_a_record_that_lacks_columns_of_the_header_is_an_error(tmp_path):
    path = write_vcf_file(tmp_path / "a.vcf", vcf_text(ROWS)[: -len("\t0/1\n")])
    with pytest.raises(ValueError, match=r"line 8: expected the 10 columns .* got 9 in 'chrI"):
        list(VcfFile(path).records())


@pytest.mark.parametrize("suffix", [".vcf", ".vcf.gz", ".bcf"])
def test_records_on_a_full_disk_are_an_error_and_leave_nothing(tmp_path, suffix, capfd):
    contig = ["##contig=<ID=chrI,length=90000>"]
    header = with_contigs([*HEADER.splitlines()[:-1], *contig, COLUMNS], {})
    plain = tmp_path / "plain.vcf"
    records = [f"chrI\t{n}\t.\tA\tT\t.\t.\tDP={n}" for n in range(1, 5_000)]
    write_vcf(plain, header, records, bgzip=False)

    def write(path):
        if suffix == ".bcf":
            convert_to_bcf(path, plain, index_shift=14)
        else:
            write_vcf(path, header, records, bgzip=suffix == ".vcf.gz")

    (tmp_path / "out").mkdir()
    path = tmp_path / "out" / f"a{suffix}"
    write(path)
    size = path.stat().st_size
    for file in path.parent.iterdir():
        file.unlink()
    for limit in (0, 100, size // 3, size - 500, size - 20, size - 1):
        with file_limit(limit), pytest.raises(WorkError, match="could not be written"):
            with atomic_path(path, *([".csi"] if suffix == ".bcf" else []), suffix=suffix) as part:
                write(part)
        assert not list(path.parent.iterdir()), limit
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("header", [b"no header at all\0", b"##fileformat=VCFv4.2\n\0", b""])
def test_a_bcf_file_with_a_damaged_header_is_an_error(tmp_path, header):
    with pysam.BGZFile(str(tmp_path / "v.bcf"), "wb", None) as file:
        file.write(b"BCF\2\2" + struct.pack("<I", len(header)) + header)
    with pytest.raises(InputError, match=r"v\.bcf .*(damaged|expected #CHROM)"):
        VcfFile(tmp_path / "v.bcf")
