"""The fuzzer finds violations; a few mutated inputs are run here, and many with `-m fuzz`."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cli.command import run
from tests.fuzz import accounts, cases, rules, wellformed
from tests.fuzz.server import Outcome

VERBS = ("score", "embed", "score-vcf", "generate", "info", "pretrain")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "assets").mkdir()
    wellformed.make_assets(folder / "assets")
    cases.use_assets(folder / "assets")
    return folder


LIGHT = [
    way
    for way in cases.WAYS
    if way.verb in VERBS and (way.verb != "pretrain" or "--print-config" in way.arguments)
]


@st.composite
def mutated(draw):
    """Draw a case that is fast enough for every run of the suite."""
    way = draw(st.sampled_from(LIGHT))
    return cases.draw(draw(st.randoms(use_true_random=False)), ways=[way])


def test_a_few_mutated_inputs_violate_no_rule(place, capsys, monkeypatch):
    likelihood = accounts.likelihood_by(place / "assets" / "model")

    @settings(
        max_examples=25, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=mutated())
    def check(case):
        case = case.with_likelihood(likelihood)
        folder = rules.written(case, place / "case")
        monkeypatch.chdir(folder)
        answer = run(capsys, *case.arguments)
        (folder / ".stdout").write_text(answer.out)
        outcome = Outcome(answer.code, answer.out, answer.err, 0.0)
        assert not list(rules.broken(case, folder, outcome)), (case.arguments, case.changes)

    check()


def test_cases_are_reproducible(place):
    for index in range(20):
        one, other = (cases.of_index(7, index) for _ in range(2))
        assert one.arguments == other.arguments
        assert one.files == other.files


@pytest.mark.parametrize(
    ("outcome", "violation"),
    [
        (Outcome(1, "", 'Traceback (most recent call last):\n  File "/x/megabase/io/bed.py", '
                 'line 3, in read\nValueError: x\n', 0.1), "traceback: io/bed.py:read ValueError"),
        (Outcome(2, "", "megabase: error: a\nmegabase: error: b\n", 0.1), "2 error lines"),
        (Outcome(2, "", "", 0.1), "0 error lines"),
        (Outcome(2, "", "some words\nmegabase: error: a\n", 0.1),
         "stray words on standard error: some words"),
        (Outcome(3, "", "megabase: error: a\n", 0.1), "exit code 3"),
        (Outcome(-11, "", "", 0.1), "ended by signal 11"),
        (Outcome(-9, "", "", 60.0, is_late=True), "hang: no end after 60 s"),
        (Outcome(0, "", "", 0.1), "exit code 0 and no output"),
    ],
)  # fmt: skip
def test_violations_are_found(place, outcome, violation):
    way = next(way for way in cases.WAYS if (way.verb, way.kind) == ("score", "bed"))
    case = cases.Case(way, {"s.bed": b"damaged"}, ("flip_bytes",))
    assert violation in list(rules.broken(case, rules.written(case, place / "case"), outcome))


def test_a_lost_row_is_found(place):
    way = next(way for way in cases.WAYS if (way.verb, way.kind) == ("score", "fasta"))
    case = cases.Case(way, {way.target: b">a\nACGT\n>b\nAC\n"}, (), lambda letters: -1.0)
    folder = rules.written(case, place / "case")
    (folder / "o.tsv").write_text(
        "name\tlength\tn_scored\tlog_likelihood\tbits_per_base\na\t4\t4\t-1.0\t0.36\n"
    )
    found = list(rules.broken(case, folder, Outcome(0, "o.tsv\n", "", 0.1)))
    assert found == ["wrong count: # names for # records"]


def test_executed_code_and_leftover_files_are_found(place):
    way = next(way for way in cases.WAYS if way.kind == "ckpt")
    case = cases.Case(way, {way.target: b"x"}, ("evil_pickle",))
    folder = rules.written(case, place / "case")
    (folder / "PWNED").touch()
    found = list(rules.broken(case, folder, Outcome(2, "", "megabase: error: no\n", 0.1)))
    assert "code of a file was executed" in found
    assert "left behind after exit code 2: PWNED" in found


@pytest.mark.fuzz
@pytest.mark.slow
@pytest.mark.parametrize(
    "module", [["tests.fuzz", "--count", "500"], ["tests.fuzz.kills", "--kills", "50"]]
)
def test_a_campaign_finds_nothing(module, tmp_path):
    command = [sys.executable, "-m", *module, "--output", str(tmp_path / "report.json")]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], check=False, capture_output=True)
    assert done.returncode == 0, done.stdout.decode()
