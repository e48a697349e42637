"""C is compiled once, for this computer, and a failure is reported."""

import ctypes
import shutil
import subprocess
import sys

import pytest
import torch

from megabase.runtime import compiler
from megabase.runtime.compiler import compile_here

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("gcc") is None, reason="needs Linux and gcc"
)


@pytest.fixture(autouse=True)
def _own(tmp_path, monkeypatch):
    monkeypatch.setenv("MEGABASE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MEGABASE_COMPILE", raising=False)
    if "OpenMP" in torch.__config__.show() and compiler._loaded_openmp() is None:
        pytest.skip("the OpenMP of torch is not that of gcc")


def sources(tmp_path, body="return 2 * x + MORE;"):
    header, source = tmp_path / "more.h", tmp_path / "twice.c"
    header.write_text("#define MORE 1\n")
    source.write_text(f'#include "more.h"\nint twice(int x) {{ {body} }}\n')
    return (source, header)


def test_what_is_compiled_can_be_called(tmp_path):
    library, why_not = compile_here(sources(tmp_path))
    assert why_not == ""
    assert ctypes.CDLL(str(library)).twice(20) == 41
    assert [path.name for path in library.parent.iterdir()] == [library.name]


def test_it_is_compiled_once_until_something_changes(tmp_path, monkeypatch):
    files = sources(tmp_path)
    first, runs = compile_here(files).library, []
    with monkeypatch.context() as patch:
        patch.setattr(compiler, "_run", lambda *command: runs.append(command))
        assert compile_here(files).library == first
    assert runs == []
    files[1].write_text("#define MORE 2\n")
    second = compile_here(files).library
    assert second not in (None, first)
    assert ctypes.CDLL(str(second)).twice(20) == 42


def test_it_is_linked_with_the_threads_of_this_process(tmp_path):
    files = sources(tmp_path, "int n = 0;\n#pragma omp parallel reduction(+ : n)\nn++; return n;")
    program = (
        "import ctypes, sys, torch; library = ctypes.CDLL(sys.argv[1]); torch.set_num_threads(3);"
        "maps = open('/proc/self/maps').read().split(); "
        "print(library.twice(1), len({name for name in maps if 'libgomp' in name}))"
    )
    command = [sys.executable, "-c", program, str(compile_here(files).library)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.split() == ["3", "1"]


def test_a_source_that_does_not_compile_is_reported_and_leaves_nothing(tmp_path):
    library, why_not = compile_here(sources(tmp_path, "return y;"))
    assert library is None
    assert why_not.startswith("gcc failed: ")
    assert "error: " in why_not
    assert list((tmp_path / "cache").iterdir()) == []


def test_without_gcc_or_where_it_is_switched_off_nothing_is_compiled(tmp_path, monkeypatch):
    monkeypatch.setenv("MEGABASE_COMPILE", "0")
    assert compile_here(sources(tmp_path)) == (None, "MEGABASE_COMPILE is 0")
    monkeypatch.delenv("MEGABASE_COMPILE")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert compile_here(sources(tmp_path)) == (None, "gcc is not installed")


def test_a_cache_that_cannot_be_written_is_reported(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MEGABASE_CACHE", str(tmp_path / "file" / "cache"))
    assert compile_here(sources(tmp_path)).why_not.startswith("it cannot be written: ")
