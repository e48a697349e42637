"""The library can be imported without fcntl, resource and pysam, as on Windows."""

import subprocess
import sys

_IMPORTED = """
import builtins
plain = builtins.__import__

def as_on_windows(name, globals=None, *rest, **named):
    lacking = name.partition(".")[0] in ("fcntl", "resource", "pysam", "pwd", "grp", "termios")
    if lacking and str((globals or {}).get("__name__")).startswith("megabase"):
        raise ImportError(f"no {name} on Windows")
    return plain(name, globals, *rest, **named)

builtins.__import__ = as_on_windows
import megabase, megabase.cli.main, megabase.runtime.artifacts, megabase.inference.predictions
for name in megabase.__all__:
    if name != "open_genome":  # which reads FASTA by pysam
        getattr(megabase, name)
"""


def test_the_library_needs_no_module_that_windows_lacks():
    done = subprocess.run([sys.executable, "-c", _IMPORTED], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
