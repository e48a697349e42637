"""Where a model runs: the devices that torch finds here."""

import torch

from megabase.errors import InputError


def choose_device(name: str = "auto") -> torch.device:
    """Give the device of a name; `auto` is the accelerator if there is one, else the CPU.

    Raises
    ------
    InputError
        If there is no such device here.
    """
    if name == "auto":
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device {name!r} cannot be used ({reason}); try auto or cpu") from error
    return device


def describe_devices() -> dict[str, str]:
    """Say what torch finds: the CPU with its threads, and each accelerator or why there is none."""
    found = {"cpu": f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"}
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        bfloat16 = "bfloat16" if torch.cuda.is_bf16_supported() else "no bfloat16"
        found[f"cuda:{index}"] = (
            f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, {bfloat16}"
        )
    if torch.backends.mps.is_available():
        found["mps"] = "Apple GPU"
    if len(found) == 1:
        built = torch.version.cuda
        why = "no GPU or no driver" if built else "this build of torch is for the CPU only"
        found["accelerator"] = f"off: {why}"
    return found
