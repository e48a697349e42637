"""As many windows pass at once as the memory holds, and too little memory is reported early."""

import pytest

from megabase.data.training_windows import plan_lengths
from megabase.model.config import HyenaDNAConfig
from megabase.model.memory_mixer import memory_rules
from megabase.ops.native_memory import native_memory_bytes
from megabase.training import memory_plan as training_plan
from megabase.training.memory_plan import Plan, make_plan, planned_bytes, segment_bytes
from megabase.training.run_config import PretrainConfig

GIB = 1 << 30


@pytest.fixture(autouse=True)
def _as_on_a_gpu(monkeypatch):
    """Let memory alone decide, as it does on a GPU."""
    monkeypatch.setattr(training_plan, "_CPU_TOKENS", 1 << 40)


def plan(n_processes=1, n_bytes_held=0, **changes):
    keys = {"context_length": 32_768, "tokens_per_step": 131_072, "steps": 100}
    config = PretrainConfig(genome="asset:ecoli", **(keys | changes))
    shape = HyenaDNAConfig.from_preset(config.start, config.context_length)
    schedule = plan_lengths(
        n_steps=config.steps,
        context_length=config.context_length,
        tokens_per_step=config.tokens_per_step,
        start_length=config.start_length,
    )
    return make_plan(config, shape, schedule, n_processes=n_processes, n_bytes_held=n_bytes_held)


def test_more_memory_takes_more_windows_at_once():
    passes = [plan(memory_gib=gib).windows_per_pass[32_768] for gib in (2, 4, 64)]
    assert passes == sorted(passes)
    assert passes[0] < passes[-1] == 4  # all windows of a step


def test_shorter_windows_pass_more_at_once():
    found = plan(memory_gib=3, start_length=8192).windows_per_pass
    assert found[8192] > found[16_384] > found[32_768] >= 1


def test_processes_share_the_windows():
    assert plan(n_processes=2, memory_gib=64).windows_per_pass == {32_768: 2}


def test_blocks_are_recomputed_where_a_window_does_not_fit_otherwise(caplog):
    caplog.set_level("INFO", logger="megabase")
    assert not plan(memory_gib=3).gradient_checkpointing
    assert plan(memory_gib=1.1).gradient_checkpointing
    assert "blocks are recomputed" in caplog.text


def test_what_does_not_fit_is_refused_with_a_hint():
    with pytest.raises(ValueError, match=r"may use 0.6 .*a shorter context_length, a smaller"):
        plan(memory_gib=0.6)
    with pytest.raises(
        ValueError, match=r"try gradient_checkpointing=true, fewer windows_per_pass"
    ):
        plan(memory_gib=2, windows_per_pass=4, gradient_checkpointing=False)


def test_the_peak_is_that_of_the_greediest_pass():
    found = plan(memory_gib=64, start_length=16_384)
    shape = HyenaDNAConfig.from_preset("tiny", 32_768)
    expected = max(
        planned_bytes(shape, length, n, checkpointing=False)
        for length, n in found.windows_per_pass.items()
    )
    assert found.peak_gib == pytest.approx(expected / GIB, abs=0.01)


def test_a_plan_is_read_back_from_its_record():
    found = plan(memory_gib=4)
    record = {"windows_per_pass": {"32768": 3}, "gradient_checkpointing": True, "peak_gib": 2.5}
    assert Plan.from_record(record) == Plan({32_768: 3}, True, 2.5)
    assert isinstance(found, Plan)


def test_a_cpu_takes_no_more_at_once_than_is_of_use(monkeypatch):
    monkeypatch.setattr(training_plan, "_CPU_TOKENS", 1 << 14)
    found = plan(memory_gib=64, start_length=8192, device="cpu").windows_per_pass
    assert found == {8192: 2, 16_384: 1, 32_768: 1}
    assert plan(memory_gib=64, windows_per_pass=3).windows_per_pass == {32_768: 3}


def test_segments_of_a_model_with_a_memory_are_held_while_training_on_a_cpu():
    memory = {"memory_orders": [8, 16], "pointer_orders": [12]}
    config = PretrainConfig(genome="asset:ecoli", architecture=memory, segment_length=1000)
    shape = HyenaDNAConfig.of(config.shape())
    rules = memory_rules(shape)
    assert rules is not None
    n_open, n_features = 2 * config.open_segments, 7 * 2 + 19
    held = n_open * 1000 * 2 * n_features + 2 * native_memory_bytes(rules, 5_000_000)
    assert segment_bytes(config, shape, 5_000_000) == held
    assert segment_bytes(config, HyenaDNAConfig.from_preset("tiny", 1024), 5_000_000) == 0


def test_what_is_held_besides_leaves_less_to_the_windows():
    free, beside = plan(memory_gib=4), plan(memory_gib=4, n_bytes_held=2 << 30)
    assert beside.windows_per_pass[32_768] < free.windows_per_pass[32_768]
    assert beside.peak_gib > 2
    with pytest.raises(ValueError, match="a shorter segment_length"):
        plan(memory_gib=4, n_bytes_held=4 << 30)
