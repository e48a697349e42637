"""Fixtures of all tests: a separate cache, a seed, and real data and devices if available."""

import gc
import os
import signal
from pathlib import Path

# torch and the hub's library read these once, when they are imported; subprocesses inherit them.
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny models, and tests run in parallel
os.environ["HF_HUB_OFFLINE"] = "1"

import pytest
import torch
from torch import nn

from tests import shape_checks

shape_checks.install()

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read when the tests of kernels import triton

# a command in the background of a shell, or under nohup, starts with these ignored
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEGABASE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        yield


def pytest_collection_finish():
    """Exempt from garbage collection what was imported: every training collects all the rest."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure():
    gc.unfreeze()  # what libraries release at the end, they report as a leak otherwise


def pytest_addoption(parser):
    parser.addoption(
        "--perturb",
        type=float,
        default=0.0,
        help="add noise of this size to initial weights; no test result may depend on it",
    )


@pytest.fixture(autouse=True, scope="session")
def _perturbed(request):
    """Add noise to initial weights, to imitate the rounding of another processor.

    Tensors of one size get the same noise, so that equal models stay equal.
    """
    size = request.config.getoption("--perturb")
    if not size:
        yield
        return

    def moved(draw):
        def changed(self):
            draw(self)
            with torch.no_grad():
                for parameter in self.parameters():
                    if parameter.device.type == "cpu":
                        noise = torch.Generator().manual_seed(parameter.numel())
                        parameter.add_(size * torch.randn(parameter.shape, generator=noise))

        return changed

    from megabase.model.modeling import HyenaDNAPreTrainedModel  # noqa: PLC0415 after the import hook

    drawn = [
        (HyenaDNAPreTrainedModel, "post_init"),
        (nn.Linear, "reset_parameters"),
        (nn.Conv1d, "reset_parameters"),
    ]
    with pytest.MonkeyPatch.context() as patch:
        for kind, method in drawn:
            patch.setattr(kind, method, moved(getattr(kind, method)))
        yield


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared():
    """The folder of real genomes and reference outputs; skips the test if it is missing."""
    if not SHARED.is_dir():
        pytest.skip("needs the folder of shared data next to the project")
    return SHARED


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    return torch.device(request.param)
