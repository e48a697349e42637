"""Where kernels are tested: on a GPU, or without one in Triton's interpreter, on the CPU."""

import torch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
