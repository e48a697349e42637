"""What this computer has and lacks; the only heavy library imported is torch, for its devices."""

from megabase.inference.device import describe_devices, time_products
from megabase.model.steps import why_not_compiled
from megabase.run.environment import Finding, extras, storage
from megabase.run.location import cache_folder
from megabase.run.provenance import machine, versions


def describe_computer() -> list[Finding]:
    """Return versions, devices, extras and folders, each with advice if it is missing or slow."""
    return [
        Finding("machine", machine()),
        *(Finding(name, value) for name, value in versions().items()),
        *(Finding(name, value) for name, value in describe_devices().items()),
        _products(),
        _steps(),
        *extras(),
        *storage(cache_folder()),
    ]


def _products() -> Finding:
    rates = time_products()
    figures = (
        f"{rates.on_one:,.0f} G/s on 1 thread, {rates.on_all:,.0f} on {rates.n_threads}, "
        f"{rates.bfloat16:,.1f} in bfloat16"
    )
    return Finding("products", figures, rates.advice)


def _steps() -> Finding:
    if why_not := why_not_compiled():
        return Finding("steps", "not compiled", f"slower on a CPU: {why_not}")
    return Finding("steps", "compiled by gcc")
