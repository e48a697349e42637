"""The memory in C, compiled at first use: `native_memory.c`, whose definition is `ops.memory`."""

import ctypes
from collections.abc import Callable, Sequence
from ctypes import POINTER, c_int, c_int32, c_int64, c_uint8, c_void_p
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from megabase.errors import InputError, WorkError
from megabase.ops.memory import (
    LIMITS,
    N_HITS,
    N_RECENT_HITS,
    Features,
    Gaps,
    Letters,
    Memory,
    MemoryBase,
    MemoryRules,
    Odds,
    RowFeatures,
    Rows,
    fixed_odds,
)
from megabase.ops.native_mixer import declare

SOURCES = (Path(__file__).with_name("native_memory.c"),)
"""The C file of `NativeMemory`."""

_MOST_ORDERS, _MOST_SEEDS = 24, 4


class _Settings(ctypes.Structure):
    """`MemoryRules` as the C code reads them."""

    _fields_ = (
        ("n_orders", c_int32), ("orders", c_int32 * _MOST_ORDERS),
        ("n_seeds", c_int32), ("seeds", c_int32 * _MOST_SEEDS),
        *((name, c_int32) for name in LIMITS),
    )  # fmt: skip

    @classmethod
    def of(cls, rules: MemoryRules) -> "_Settings":
        """Return the rules in this form."""
        limits = {name: getattr(rules, name) for name in LIMITS}
        settings = cls(len(rules.orders), n_seeds=len(rules.pointer_orders), **limits)
        settings.orders[: len(rules.orders)] = rules.orders
        settings.seeds[: len(rules.pointer_orders)] = rules.pointer_orders
        return settings


class MemoryLibrary:
    """The compiled functions.

    Parameters
    ----------
    library
        Path of the shared library.
    """

    def __init__(self, library: Path) -> None:
        self._c = ctypes.CDLL(str(library))
        declare(
            self._c,
            {
                "memory_new": (c_void_p, (POINTER(_Settings), c_void_p, c_int64)),
                "memory_copy": (c_void_p, (c_void_p,)),
                "memory_free": (None, (c_void_p,)),
                "memory_bytes": (c_int64, (c_void_p,)),
                "memory_length": (c_int64, (c_void_p,)),
                "memory_count_outcomes": (c_int, (c_void_p,)),
                "memory_outcomes": (None, (c_void_p, c_void_p)),
                "memory_read": (c_int, (c_void_p, c_void_p, c_int64, c_void_p, c_void_p)),
                "memory_after": (
                    c_void_p,
                    (c_void_p, POINTER(_Settings), c_void_p, c_void_p, c_int64, c_int64),
                ),
                "memory_arrays": (None, (c_void_p, c_void_p, c_void_p, c_void_p)),
                "base_new": (c_void_p, (POINTER(_Settings), c_int64, c_void_p, c_void_p, c_void_p)),
                "base_free": (None, (c_void_p,)),
                "memory_read_by_copies": (c_int, (c_void_p, c_void_p, c_int64, c_int64, c_void_p)),
                "memory_read_rows": (
                    c_int,
                    (c_void_p, POINTER(_Settings), c_void_p, c_void_p, c_void_p, c_void_p, c_int64,
                     c_int64, c_void_p),
                ),
                "memory_read_each": (
                    c_int, (POINTER(c_void_p), c_void_p, c_int64, c_int64, c_void_p),
                ),
            },
        )  # fmt: skip
        self._bases: WeakKeyDictionary[MemoryBase, _NativeBase] = WeakKeyDictionary()

    def memory(
        self,
        rules: MemoryRules,
        odds: Odds,
        *,
        expected: int,
        base: MemoryBase | None = None,
        gaps: Gaps = (),
    ) -> "NativeMemory":
        """Return a memory that is empty, or begins after a base.

        Parameters
        ----------
        rules, odds
            What is counted and followed, and log-odds of pointers.
        expected
            Letters for which tables are allocated; they grow if more are read.
        base, gaps
            What was read before, and the parts of it that count as unknown.
        """
        settings, table = _Settings.of(rules), fixed_odds(odds)
        if base is None:
            return NativeMemory(
                self._c, self._c.memory_new(settings, table.ctypes.data, expected), rules
            )
        native, ends = self._base(base), _ends_of(gaps)
        made = self._c.memory_after(
            native.made, settings, table.ctypes.data, ends.ctypes.data, len(ends), expected
        )
        return NativeMemory(self._c, made, rules, native)

    def read_rows(
        self,
        rules: MemoryRules,
        odds: Odds,
        letters: Rows,
        base: MemoryBase | None = None,
        gaps: Sequence[Gaps] | None = None,
    ) -> RowFeatures:
        """Return the features of rows of letters, each with a memory of its own, in parallel."""
        letters, table = np.ascontiguousarray(letters), fixed_odds(odds)
        out = np.empty((*letters.shape, rules.n_features), np.float16)
        of_rows = gaps or [()] * len(letters)
        first = np.cumsum([0, *map(len, of_rows)], dtype=np.int64)
        ends = _ends_of([gap for row in of_rows for gap in row])
        failed = self._c.memory_read_rows(
            None if base is None else self._base(base).made, _Settings.of(rules),
            table.ctypes.data, ends.ctypes.data, first.ctypes.data, letters.ctypes.data,
            *letters.shape, out.ctypes.data,
        )  # fmt: skip
        _check(not failed, letters.size)
        return out

    def _base(self, base: MemoryBase) -> "_NativeBase":
        """Return a base as the C code reads it; it is created once."""
        if base not in self._bases:
            self._bases[base] = _NativeBase(self._c, base)
        return self._bases[base]


class _NativeBase:
    """A base as the C code reads it: the addresses of its arrays."""

    def __init__(self, c: ctypes.CDLL, base: MemoryBase) -> None:
        self._c, self.arrays = c, base.arrays
        places = (c_void_p * len(base.arrays))(*(array.ctypes.data for array in base.arrays))
        n_bytes = np.array([array.nbytes for array in base.arrays], np.int64)
        dense = np.array(base.count_bytes, np.int32)
        rules = MemoryRules(orders=base.orders, pointer_orders=base.pointer_orders)
        self.made = c.base_new(
            _Settings.of(rules), base.n_letters, places, n_bytes.ctypes.data, dense.ctypes.data
        )
        _check(self.made is not None, 0)

    def __del__(self) -> None:
        self._c.base_free(self.made)


def _ends_of(gaps: Gaps) -> Int64[np.ndarray, "gap two"]:
    return np.array(gaps, dtype=np.int64).reshape(-1, 2)


class NativeMemory(Memory):
    """A memory in compiled code; `MemoryLibrary.memory` creates one."""

    def __init__(
        self,
        c: ctypes.CDLL,
        made: int | None,
        rules: MemoryRules,
        base: _NativeBase | None = None,
    ) -> None:
        self.rules = rules
        self._c, self._made, self._base = c, made, base
        _check(made is not None, 0)

    def __del__(self) -> None:
        self._c.memory_free(self._made)

    def __len__(self) -> int:
        return self._c.memory_length(self._made)

    @property
    def n_bytes(self) -> int:
        """Bytes held."""
        return self._c.memory_bytes(self._made)

    def read(self, letters: Letters, wanted: Bool[np.ndarray, " length"] | None = None) -> Features:
        """Append letters, and return the features after each, or after those that are wanted."""
        n_rows = len(letters) if wanted is None else int(np.count_nonzero(wanted))
        out = np.empty((n_rows, self.rules.n_features), np.float16)
        self._read(letters, wanted, out)
        return out

    def remember(self, letters: Letters) -> None:
        """Append letters without returning features."""
        self._read(letters, None, None)

    def copy(self) -> "NativeMemory":
        """Return an independent copy."""
        return NativeMemory(self._c, self._c.memory_copy(self._made), self.rules, self._base)

    def read_by_copies(self, letters: Rows) -> RowFeatures:
        """Return the features of rows of letters, each read by a copy, in parallel."""
        letters = np.ascontiguousarray(letters)
        out = np.empty((*letters.shape, self.rules.n_features), np.float16)
        failed = self._c.memory_read_by_copies(
            self._made, letters.ctypes.data, *letters.shape, out.ctypes.data
        )
        _check(not failed, letters.size)
        return out

    @staticmethod
    def reading(
        memories: "Sequence[NativeMemory]", letters: Rows, out: RowFeatures
    ) -> Callable[[], None]:
        """Return a call in C that reads all rows; see `backends.reading`."""
        if not (letters.flags.c_contiguous and out.flags.c_contiguous):
            raise TypeError("the memory in C reads and writes contiguous arrays")
        read = memories[0]._c.memory_read_each
        made = (c_void_p * len(memories))(*(memory._made for memory in memories))
        where, size, to = letters.ctypes.data, map(c_int64, letters.shape), out.ctypes.data
        arguments = (made, c_void_p(where), *size, c_void_p(to))

        def call(alive: object = (memories, letters, out)) -> None:  # C has addresses only
            del alive
            _check(not read(*arguments), letters.size)

        return call

    def count_outcomes(self) -> None:
        """Count from now on how often pointers with the same hits are right."""
        _check(not self._c.memory_count_outcomes(self._made), 0)

    def outcomes(self) -> Int64[np.ndarray, "hits recent two"]:
        """Return the numbers of right and wrong predictions, since `count_outcomes`."""
        counted = np.zeros((N_HITS, N_RECENT_HITS, 2), np.int64)
        self._c.memory_outcomes(self._made, counted.ctypes.data)
        return counted

    def base(self) -> MemoryBase:
        """Return what was read as a base, whose arrays are those of this memory or narrower."""
        if self._base is not None:
            raise InputError("a memory that begins after a base cannot be one")
        rules = self.rules
        n_arrays = 3 + len(rules.orders) + 2 * len(rules.pointer_orders)
        places, n_bytes = (c_void_p * n_arrays)(), np.empty(n_arrays, np.int64)
        dense = np.empty(len(rules.orders), np.int32)
        self._c.memory_arrays(self._made, places, n_bytes.ctypes.data, dense.ctypes.data)
        arrays = [self._array(place, int(n)) for place, n in zip(places, n_bytes, strict=True)]
        count_bytes = [0] * len(rules.orders)
        for i, is_dense in enumerate(dense):
            if is_dense:
                counts = arrays[3 + i].view(np.uint32)
                is_narrow = counts.max(initial=0) < 1 << 16
                count_bytes[i] = 2 if is_narrow else 4
                if is_narrow:
                    arrays[3 + i] = counts.astype(np.uint16).view(np.uint8)
        return MemoryBase(
            rules.orders, rules.pointer_orders, len(self), tuple(arrays), tuple(count_bytes)
        )

    def _array(self, place: int | None, n_bytes: int) -> UInt8[np.ndarray, " n_bytes"]:
        """Return an array of this memory, which lives at least as long as the array."""
        if not n_bytes:
            return np.empty(0, np.uint8)
        buffer = (c_uint8 * n_bytes).from_address(place or 0)
        vars(buffer)["memory"] = self
        return np.ctypeslib.as_array(buffer)

    def _read(
        self, letters: Letters, wanted: Bool[np.ndarray, " length"] | None, out: Features | None
    ) -> None:
        letters = np.ascontiguousarray(letters)
        flags = None if wanted is None else np.ascontiguousarray(wanted)
        failed = self._c.memory_read(
            self._made, letters.ctypes.data, len(letters),
            None if flags is None else flags.ctypes.data, None if out is None else out.ctypes.data,
        )  # fmt: skip
        _check(not failed, len(letters))


def _check(succeeded: bool, n_letters: int) -> None:
    if not succeeded:
        raise WorkError(
            f"there is not enough main memory to remember {n_letters:,} more letters; use a "
            "shorter context or a smaller batch"
        )


def native_memory_bytes(rules: MemoryRules, n_letters: int) -> int:
    """Return the most bytes that a `NativeMemory` holds after reading as many letters as expected.

    The letters, a table for each order, and for each seed the places where it was read. Repeats
    leave tables smaller than this bound.

    Parameters
    ----------
    rules
        What is counted and followed.
    n_letters
        Letters that the memory expects and reads.

    Examples
    --------
    >>> native_memory_bytes(MemoryRules(orders=(8, 16), pointer_orders=(12,)), 1_000_000)
    77726744
    """
    room = 64 * -(-max(n_letters, 64) // 64)
    n_bytes = room + room // 4 + room // 8
    for order in rules.orders:
        if order <= _DENSEST and 4**order <= 5 * n_letters + 4096:
            n_bytes += _ENTRY_BYTES * 4**order
            continue
        n_contexts = min(2 * n_letters, 4**order)
        n_entries = _power_above((4 if n_letters < _SHORT_TEXT else 2) * n_letters)
        is_doubled = 10 * n_contexts > 6 * n_entries  # a table is at most 60 % full
        n_bytes += _ENTRY_BYTES * n_entries * (2 if is_doubled else 1)
    for order in rules.pointer_orders:
        n_bytes += 4 * (min(_power_above(n_letters), 4**order) + room)
    return n_bytes


_DENSEST, _ENTRY_BYTES, _SHORT_TEXT = 12, 16, 1 << 20  # as in native_memory.c


def _power_above(n: int) -> int:
    return max(64, 1 << (n - 1).bit_length())
