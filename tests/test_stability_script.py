"""The script on rounding reads the failures from reports of pytest."""

from scripts.stability import CONDITIONS, failures_of

REPORT = """<testsuites><testsuite>
<testcase classname="tests.a" name="test_fine" />
<testcase classname="tests.a" name="test_wrong"><failure message="0.4">assert</failure></testcase>
<testcase classname="tests.b" name="test_broken"><error message="x">no</error></testcase>
<testcase classname="tests.b" name="test_passed_over"><skipped /></testcase>
</testsuite></testsuites>"""


def test_failures_are_listed_and_skips_are_not():
    assert failures_of(REPORT) == {"tests.a::test_wrong", "tests.b::test_broken"}


def test_threads_compiler_vectors_and_weights_are_varied():
    changed = {key for each in CONDITIONS.values() for key in each.environment}
    assert changed == {"OMP_NUM_THREADS", "MEGABASE_COMPILE", "ATEN_CPU_CAPABILITY"}
    assert sum("--perturb" in each.options for each in CONDITIONS.values()) == 2
