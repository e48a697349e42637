"""The memory: definition and C agree with brute force, and no feature sees what it must not."""

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megabase.errors import InputError
from megabase.ops import backends
from megabase.ops.backends import memory_features, new_memory, reading
from megabase.ops.memory import (
    FRONT,
    N_HITS,
    N_RECENT_HITS,
    PER_ORDER,
    PER_POINTERS,
    UNKNOWN,
    Gaps,
    Memory,
    MemoryBase,
    MemoryRules,
    PlainMemory,
    default_odds,
    fitted_odds,
    prior_of,
)
from megabase.ops.native_memory import NativeMemory, native_memory_bytes

RULES = MemoryRules(orders=(1, 3, 8, 13), pointer_orders=(8, 11))
_NUMBERS = {letter: number for number, letter in enumerate("ACGT")}


def _letters(text: str) -> np.ndarray:
    return np.array([_NUMBERS.get(letter, UNKNOWN) for letter in text], dtype=np.uint8)


def _random(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, n).astype(np.uint8)


def _mutated(letters: np.ndarray, fraction: float, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    changed = rng.random(len(letters)) < fraction
    return np.where(changed, (letters + rng.integers(1, 4, len(letters))) % 4, letters).astype(
        np.uint8
    )


def _inverted(letters: np.ndarray) -> np.ndarray:
    return (3 - letters[::-1]).astype(np.uint8)


def _repetitive(seed: int = 0) -> np.ndarray:
    """Return letters with exact, mutated and inverted repeats, unknown letters and tandems."""
    a = _random(300, seed)
    tandem = np.tile(_random(3, seed + 1), 30)
    unknown = np.full(5, UNKNOWN, np.uint8)
    return np.concatenate(
        [a, _random(40, seed + 2), a[50:200], unknown, _mutated(a, 0.1), tandem, _inverted(a[100:])]
    )


def _odds() -> np.ndarray:
    return np.random.default_rng(3).normal(size=(N_HITS, N_RECENT_HITS))


def _native(rules: MemoryRules = RULES, expected: int = 1000) -> Memory:
    memory = new_memory(rules, _odds(), expected=expected)
    if not isinstance(memory, NativeMemory):
        pytest.skip("the memory cannot be compiled here")
    return memory


PATHS = {"plain": lambda: PlainMemory(RULES, _odds()), "native": _native}


@pytest.fixture(params=PATHS)
def memory(request: pytest.FixtureRequest) -> Memory:
    """Return an empty memory of each implementation."""
    return PATHS[request.param]()


def test_the_c_code_equals_the_definition() -> None:
    for seed in range(3):
        letters = _repetitive(seed)
        plain, native = PlainMemory(RULES, _odds()).read(letters), _native().read(letters)
        assert plain.shape == native.shape == (len(letters), RULES.n_features)
        np.testing.assert_allclose(native.astype(float), plain.astype(float), atol=2e-3)


@settings(max_examples=30, deadline=None)
@given(
    st.text("ACGTN", max_size=120),
    st.integers(0, 60),
    st.sampled_from([(8,), (9, 12)]),
    st.integers(1, 4),
    st.integers(2, 200),
    st.integers(8, 32),
)
def test_the_c_code_equals_the_definition_with_any_rules(
    text: str, again: int, seeds: tuple[int, ...], n_recent: int, life: int, n_exact: int
) -> None:
    rules = MemoryRules(
        orders=(2, 5), pointer_orders=seeds, n_pointers=4, n_recent=n_recent, n_agreeing=14,
        n_exact=n_exact, n_right=6, life=life,
    )  # fmt: skip
    letters = _letters(text + text[again:] + "".join(reversed(text)).translate(_COMPLEMENT))
    native = _native(rules).read(letters).astype(float)
    np.testing.assert_allclose(native, PlainMemory(rules, _odds()).read(letters), atol=2e-3)


_COMPLEMENT = str.maketrans("ACGT", "TGCA")


def test_counts_are_those_of_brute_force(memory: Memory) -> None:
    """Eq. memory-counts."""
    letters = _repetitive()
    features = memory.read(letters).astype(float)
    for t in (5, 40, 320, 480, len(letters) - 1):
        for i, k in enumerate(RULES.orders):
            n = _counted(letters, t, k)
            of_order = features[t, PER_ORDER * i :]
            total = sum(n)
            assert of_order[4] == pytest.approx(0.3 * math.log1p(total), abs=2e-3)
            for b in range(4):
                p = (n[b] + prior_of(k)) / (total + 4 * prior_of(k))
                assert of_order[b] == pytest.approx(math.log(4 * p) if total else 0, abs=2e-3)


def _counted(letters: np.ndarray, t: int, k: int) -> list[int]:
    """Count, over both strands of the letters up to t, what follows the last k letters."""
    context, n = list(letters[max(0, t + 1 - k) : t + 1]), [0] * 4
    if len(context) < k or UNKNOWN in context:
        return n
    forward = list(letters[: t + 1])
    reverse = [UNKNOWN if x == UNKNOWN else 3 - x for x in reversed(forward)]
    for strand in (forward, reverse):
        for start in range(len(strand) - k):
            if strand[start : start + k] == context and strand[start + k] != UNKNOWN:
                n[strand[start + k]] += 1
    return n


def test_the_code_length_of_an_order_is_the_mean_of_what_it_would_have_paid(
    memory: Memory,
) -> None:
    letters = _random(400)
    features = memory.read(letters).astype(float)
    for i in range(len(RULES.orders)):
        log_p = features[:, PER_ORDER * i : PER_ORDER * i + 4]
        paid = -log_p[np.arange(399), letters[1:]]
        for offset, n in ((5, 8), (6, 64)):
            assert features[-1, PER_ORDER * i + offset] == pytest.approx(paid[-n:].mean(), abs=2e-3)


@pytest.mark.parametrize("inverted", [False, True])
def test_a_repeat_is_predicted_by_a_pointer(memory: Memory, inverted: bool) -> None:
    segment = _random(200)
    repeat = _inverted(segment) if inverted else segment
    before = np.concatenate([segment, _random(500, 5)])
    features = memory.read(np.concatenate([before, repeat])).astype(float)
    pointers = features[:, -PER_POINTERS:]
    of_repeat = pointers[len(before) :]
    for i in range(31, 199):  # the pointer is found once 20 of the last 32 letters agree
        exact = np.expm1(2 * of_repeat[i, 12:16])
        assert exact.argmax() == repeat[i + 1]
        assert exact.max() == pytest.approx(i + 1, abs=1.5)


def test_a_pointer_survives_mutations_and_is_dropped_after_the_repeat(memory: Memory) -> None:
    segment = _random(400)
    repeat = np.concatenate([_mutated(segment, 0.05), _random(100, 9)])
    features = memory.read(np.concatenate([segment, _random(300, 5), repeat])).astype(float)
    n = np.expm1(features[700:, -2])
    assert (n[40:400] >= 0.99).mean() > 0.95
    assert (n[440:] < 0.01).all()


def test_a_later_letter_changes_no_feature(memory: Memory) -> None:
    letters = _repetitive()
    changed = letters.copy()
    cut = 620
    changed[cut:] = _random(len(letters) - cut, 11)
    other = memory.copy()
    before, after = memory.read(letters), other.read(changed)
    np.testing.assert_array_equal(before[:cut], after[:cut])
    assert not np.array_equal(before[cut:], after[cut:])


def test_parts_equal_the_whole(memory: Memory) -> None:
    letters = _repetitive()
    whole, by_parts = memory.copy(), memory
    rows = [by_parts.read(part) for part in np.split(letters, [1, 2, 7, 300, 301, 700])]
    np.testing.assert_array_equal(np.concatenate(rows), whole.read(letters))
    assert len(by_parts) == len(letters)


def test_a_copy_is_independent(memory: Memory) -> None:
    letters = _repetitive()
    memory.read(letters[:400])
    fork = memory.copy()
    fork.read(_random(200, 4))
    alone = type(memory).copy(memory)
    np.testing.assert_array_equal(memory.read(letters[400:]), alone.read(letters[400:]))


def test_only_the_wanted_rows_are_returned_and_they_do_not_depend_on_the_others() -> None:
    rules = MemoryRules(orders=(2, 11), pointer_orders=(11,), life=50)
    letters = np.concatenate([_repetitive(), _repetitive(7)])
    wanted = np.zeros(len(letters), bool)
    wanted[[3, 700, 701, 900, len(letters) - 1]] = True
    whole = _native(rules).read(letters)
    np.testing.assert_array_equal(_native(rules).read(letters, wanted), whole[wanted])
    remembered = _native(rules)
    remembered.remember(letters[:600])
    np.testing.assert_array_equal(remembered.read(letters[600:]), whole[600:])


def test_tables_grow_beyond_the_expected_length() -> None:
    letters = np.concatenate([_random(4000), _repetitive()])
    rules = MemoryRules(orders=(3, 9, 12, 20), pointer_orders=(11, 14))
    small, large = _native(rules, expected=1), _native(rules, expected=1 << 22)
    np.testing.assert_array_equal(small.read(letters), large.read(letters))
    assert small.n_bytes < large.n_bytes


@pytest.mark.parametrize("n", [10, 1000, 5000, 40_000, 150_000])
def test_the_bytes_of_a_memory_are_predicted_as_an_upper_bound(n: int) -> None:
    rules = MemoryRules(orders=(2, 6, 9, 11, 12, 14, 18, 24), pointer_orders=(12, 20))
    for letters, least in ((_random(n), 1 / 1.6), (np.resize(_repetitive(), n), 0.2)):
        memory = _native(rules, expected=n)
        memory.remember(letters)
        share = memory.n_bytes / native_memory_bytes(rules, n)
        assert least <= share <= 1


_SEPARATOR = np.full(FRONT, UNKNOWN, np.uint8)


def _base(*texts: np.ndarray, rules: MemoryRules = RULES) -> MemoryBase:
    memory = _native(rules, expected=sum(map(len, texts)))
    assert isinstance(memory, NativeMemory)
    for text in texts:
        memory.remember(np.concatenate([text, _SEPARATOR]))
    return memory.base()


def _without(base: MemoryBase, gaps: Gaps) -> np.ndarray:
    letters = np.array(base.letters)
    for start, end in gaps:
        letters[start:end] = UNKNOWN
    return letters


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("gaps", [[], [(20, 240)], [(0, 7), (100, 130), (131, 300), (700, 900)]])
def test_a_memory_after_a_base_has_read_its_letters_except_the_gaps(
    gaps: list[tuple[int, int]], seed: int
) -> None:
    texts = _repetitive(seed), _mutated(_repetitive(seed + 1), 0.02)
    letters = np.concatenate([_mutated(texts[0][30:330], 0.05), _inverted(texts[1][:250])])
    base = _base(*texts)
    whole = _native()
    whole.remember(_without(base, gaps))
    after = new_memory(RULES, _odds(), expected=10, base=base, gaps=gaps)
    assert len(after) == base.n_letters
    np.testing.assert_array_equal(after.read(letters), whole.read(letters))


@settings(max_examples=40, deadline=None)
@given(
    st.text("ACGTN", max_size=150),
    st.text("ACGTN", max_size=40),
    st.lists(st.integers(0, 200), max_size=4, unique=True),
    st.integers(1, 4),
    st.integers(2, 200),
)
def test_gaps_of_a_base_are_unknown_letters_of_the_definition(
    text: str, more: str, ends: list[int], n_recent: int, life: int
) -> None:
    rules = MemoryRules(
        orders=(2, 5, 13), pointer_orders=(8,), n_pointers=4, n_recent=n_recent, n_agreeing=12,
        n_right=6, life=life,
    )  # fmt: skip
    base = _base(_letters(text), rules=rules)
    ends = sorted(min(end, base.n_letters) for end in ends)
    gaps = [pair for pair in zip(ends[::2], ends[1::2], strict=False) if pair[0] < pair[1]]
    letters = _letters(text[20:] + more + "".join(reversed(text)).translate(_COMPLEMENT))
    after = new_memory(rules, _odds(), expected=0, base=base, gaps=gaps).read(letters)
    plain = PlainMemory(rules, _odds(), base, gaps).read(letters)
    np.testing.assert_allclose(after.astype(float), plain.astype(float), atol=2e-3)


def test_a_memory_of_each_implementation_becomes_a_base(memory: Memory) -> None:
    letters = np.concatenate([_repetitive(), _SEPARATOR])
    memory.remember(letters)
    base = memory.base()
    assert (base.orders, base.pointer_orders) == (RULES.orders, RULES.pointer_orders)
    np.testing.assert_array_equal(base.letters, letters)
    plain = PlainMemory(RULES, _odds(), base, [(3, 200)])
    whole = PlainMemory(RULES, _odds())
    whole.remember(_without(base, [(3, 200)]))
    np.testing.assert_array_equal(plain.read(letters[:50]), whole.read(letters[:50]))


def test_a_base_follows_no_base() -> None:
    memory = new_memory(RULES, _odds(), expected=9, base=_base(_repetitive()))
    with pytest.raises(InputError, match="cannot be one"):
        memory.base()


def test_rows_begin_after_a_base_each_with_its_own_gaps() -> None:
    base = _base(_repetitive())
    rows = np.stack([_repetitive()[:200], _repetitive()[100:300]])
    gaps = [[(0, 200)], [(100, 300), (400, 410)]]
    found = memory_features(RULES, _odds(), rows, base=base, gaps=gaps)
    for row, own, features in zip(rows, gaps, found, strict=True):
        memory = new_memory(RULES, _odds(), expected=200, base=base, gaps=own)
        np.testing.assert_array_equal(features, memory.read(row))
        assert (features != new_memory(RULES, _odds(), expected=200, base=base).read(row)).any()


def test_a_copy_of_a_memory_after_a_base_reads_on_and_the_base_stays_alive() -> None:
    letters = _repetitive()
    memory = new_memory(RULES, _odds(), expected=9, base=_base(letters), gaps=[(5, 50)])
    memory.remember(letters[:100])
    copy = memory.copy()
    del memory
    whole = new_memory(RULES, _odds(), expected=9, base=_base(letters), gaps=[(5, 50)])
    np.testing.assert_array_equal(copy.read(letters[100:]), whole.read(letters)[100:])


def test_some_orders_of_a_base_suffice_and_missing_ones_are_named() -> None:
    base, letters = _base(_repetitive()), _repetitive()[:150]
    some = MemoryRules(orders=(13, 3), pointer_orders=(11,))
    whole = _native(some)
    whole.remember(base.letters)
    found = new_memory(some, _odds(), expected=9, base=base).read(letters)
    np.testing.assert_array_equal(found, whole.read(letters))
    with pytest.raises(InputError, match=r"\[4\] are missing"):
        new_memory(MemoryRules(orders=(3, 4)), _odds(), expected=9, base=base)


def test_low_orders_count_beyond_the_saturation_of_high_ones() -> None:
    rules = MemoryRules(orders=(1, 6, 8))
    memory = new_memory(rules, _odds(), expected=0)
    if not isinstance(memory, NativeMemory):
        pytest.skip("the memory cannot be compiled here")
    memory.remember(np.zeros(1 << 21, np.uint8))
    totals = memory.read(np.zeros(1, np.uint8))[0, 4::PER_ORDER].astype(float) / 0.3
    np.testing.assert_allclose(totals, np.log([1 << 21, 1 << 21, 1 << 20]), atol=0.02)


def test_rows_have_memories_of_their_own() -> None:
    rows = np.stack([_random(500), np.resize(_repetitive(), 500)])
    together = memory_features(RULES, _odds(), rows)
    for row, features in zip(rows, together, strict=True):
        np.testing.assert_array_equal(features, new_memory(RULES, _odds(), expected=9).read(row))


def test_copies_read_rows_and_leave_the_memory_as_it_is(memory: Memory) -> None:
    letters = _repetitive()
    memory.read(letters[:500])
    rows = np.stack([letters[500:700], letters[100:300], _random(200, 8)])
    together = memory.read_by_copies(rows)
    for row, features in zip(rows, together, strict=True):
        np.testing.assert_array_equal(features, memory.copy().read(row))
    assert len(memory) == 500


@pytest.mark.parametrize("path", PATHS)
def test_the_memories_of_a_batch_read_again_and_again_from_the_same_place(path: str) -> None:
    rows = np.stack([np.resize(_repetitive(seed), 700) for seed in (0, 5)])
    memories = [PATHS[path]() for _ in rows]
    parts, start = [], 0
    for length, times in ((500, 1), (1, 100), (100, 1)):  # a long row in C is read by threads
        letters = np.empty((2, length), np.uint8)
        out = np.empty((2, length, RULES.n_features), np.float16)
        read = reading(memories, letters, out)
        for _ in range(times):
            letters[:] = rows[:, start : start + length]
            read()
            parts.append(out.copy())
            start += length
    alone = [PATHS[path]().read(row) for row in rows]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), np.stack(alone))


def test_the_memory_in_c_reads_contiguous_letters_only() -> None:
    letters, out = np.zeros((2, 8), np.uint8), np.empty((2, 4, RULES.n_features), np.float16)
    with pytest.raises(TypeError, match="contiguous"):
        reading([_native(), _native()], letters[:, ::2], out)


def test_unknown_letters_before_a_sequence_change_nothing(memory: Memory) -> None:
    letters = _repetitive()
    padded = np.concatenate([np.full(17, UNKNOWN, np.uint8), letters])
    features = memory.copy().read(padded)
    assert not features[:17].any()
    np.testing.assert_array_equal(features[17:], memory.read(letters))


def test_letters_before_an_unknown_one_do_not_help_to_find_a_pointer() -> None:
    segment = _random(70)
    unknown = np.full(1, UNKNOWN, np.uint8)
    letters = np.concatenate([segment, _random(100, 2), segment[:30], unknown, segment[30:]])
    rules = MemoryRules(pointer_orders=(8,), n_agreeing=20)
    features = _native(rules).read(letters)
    np.testing.assert_array_equal(features, PlainMemory(rules, _odds()).read(letters))
    after = features[201:, -2]
    assert not after[:18].any()
    assert (after[20:38] > 0).all()


def test_a_pointer_must_be_found_again_within_its_life() -> None:
    segment = _random(200)
    repeat = segment.copy()
    repeat[45::8] = (repeat[45::8] + 1) % 4  # a seed of 24 is not read again from here on
    letters = np.concatenate([segment, _random(100, 2), repeat])
    for life in (20, 60):
        rules = MemoryRules(pointer_orders=(24,), life=life)
        features = _native(rules).read(letters)
        np.testing.assert_array_equal(features, PlainMemory(rules, _odds()).read(letters))
        is_followed = features[300:, -2] > 0
        assert is_followed[24 : 44 + life].all()
        assert not is_followed[46 + life :].any()


def test_log_odds_are_fitted_to_outcomes() -> None:
    outcomes = np.zeros((N_HITS, N_RECENT_HITS, 2), np.int64)
    outcomes[32, 15] = 97, 3
    odds = fitted_odds(outcomes, prior=1e-9)
    assert odds[32, 15] == pytest.approx(math.log(3 * 0.97 / 0.03))
    np.testing.assert_allclose(odds[:32], default_odds()[:32])


def test_outcomes_are_counted_by_hits() -> None:
    memory = _native()
    assert isinstance(memory, NativeMemory)
    memory.count_outcomes()
    segment = _random(300)
    memory.read(np.concatenate([segment, _random(100, 1), segment]))
    outcomes = memory.outcomes()
    assert outcomes[32, 15, 0] > 200
    assert outcomes[32, 15, 1] == 0


def test_a_memory_that_is_not_compiled_is_warned_of_once_and_described(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(backends, "compile_here", lambda _: (None, "gcc is not installed"))
    for cached in (backends.memory_library, backends._native_memory):
        monkeypatch.setattr(backends, cached.__name__, cache(cached.__wrapped__))
    assert backends.why_memory_not_compiled() == "gcc is not installed"
    assert backends.describe_memory() == "in Python, not compiled: gcc is not installed"
    assert not caplog.records
    for _ in range(2):
        assert isinstance(new_memory(RULES, _odds(), expected=9), PlainMemory)
    assert [record.message for record in caplog.records] == [
        "the memory is computed in Python, hundreds of times slower than in C: gcc is not installed"
    ]
