"""What every test has: a cache of its own, a seed, real data and devices or a skip."""

import os
import signal
from pathlib import Path

# Read once, when torch and the hub's library are imported, here and in processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny models, and other tests beside them
os.environ["HF_HUB_OFFLINE"] = "1"

import pytest
import torch
from torch import nn

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read when triton is imported, by the tests of kernels

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEGABASE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        yield


def pytest_addoption(parser):
    parser.addoption(
        "--perturb",
        type=float,
        default=0.0,
        help="add noise of this size to weights as they are drawn: no verdict may hang on it",
    )


@pytest.fixture(autouse=True, scope="session")
def _perturbed(request):
    """Move drawn weights by as much as another processor would move them in a few steps.

    Models of one shape are moved alike, so that what is the same stays the same.
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

    from megabase.model.modeling import HyenaDNAPreTrainedModel  # noqa: PLC0415 after its hook

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
    """The folder of real genomes and of reference outputs."""
    if not SHARED.is_dir():
        pytest.skip("needs the folder of shared data beside the project")
    return SHARED


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    return torch.device(request.param)
