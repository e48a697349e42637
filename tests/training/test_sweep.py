"""A sweep tries what was declared, on validation alone, and the best is trained from all seeds."""

import json

import pytest

from megabase.errors import DivergedError, InputError, WorkError
from megabase.model.load import load_classifier, save
from megabase.training import finetune as module
from megabase.training.finetune import METRICS, finetune
from megabase.training.fit import best_of, combinations
from megabase.training.run_config import FinetuneConfig
from tests import toys
from tests.labelled_tables import motif_rows, write_rows

GRID = {"learning_rate": ("1e-2", 1e-7), "pooling": ("mean", "max")}
SMALL = {"n_seeds": 2, "epochs": 1, "batch_size": 16, "device": "cpu"}


def grid(**keys):
    return combinations(FinetuneConfig(train="t.csv", **keys))


def test_every_combination_is_a_run_of_its_own():
    found = grid(sweep=GRID)
    assert [each.values for each in found] == [
        {"learning_rate": rate, "pooling": pooling}
        for rate in (1e-2, 1e-7)
        for pooling in ("mean", "max")
    ]
    assert [each.name for each in found] == [f"sweep-0{n}" for n in range(4)]
    assert (found[1].config.learning_rate, found[1].config.pooling) == (1e-2, "max")
    assert not any(each.config.sweep for each in found)
    assert grid() == []


def record(loss, mcc=0.5):
    return {"best_epoch": 1, "validation": {"loss": loss, "mcc": mcc}}


def test_the_best_by_what_is_selected_is_taken_and_what_diverged_is_out():
    def train(each):
        if each.values["epochs"] == 1:
            raise DivergedError("the loss is NaN or infinite")
        return record(1 / each.values["epochs"], 1 / each.values["epochs"])

    config, report = best_of(grid(sweep={"epochs": (1, 2, 3)}), train)
    assert (config.epochs, report["chosen"]) == (3, {"epochs": 3})
    losses = [each["validation"] and each["validation"]["loss"] for each in report["combinations"]]
    assert losses == [None, 1 / 2, 1 / 3]
    config, _ = best_of(grid(sweep={"epochs": (1, 2, 3)}, select="mcc"), train)
    assert config.epochs == 2
    with pytest.raises(WorkError, match="every combination of the sweep diverged"):
        best_of(grid(sweep={"epochs": (1,)}), train)


def test_of_equals_the_first_is_taken():
    config, _ = best_of(grid(sweep={"epochs": (3, 2)}), lambda _: record(0.5))
    assert config.epochs == 3


@pytest.fixture
def tables(tmp_path):
    save(toys.model(), tmp_path / "language")
    write_rows(tmp_path / "train.csv", motif_rows(40))
    write_rows(tmp_path / "test.csv", motif_rows(20, seed=1))
    return tmp_path


def run(tables, **changes):
    names = {key: str(tables / f"{key}.csv") for key in ("train", "test")}
    names["model"] = str(tables / "language")
    finetune(FinetuneConfig(**(names | SMALL | {"sweep": GRID} | changes)), tables / "out")


def test_a_sweep_goes_on_where_it_was_and_never_sees_the_test(tables, monkeypatch):
    train, seen = module._AdaptationRun._train, []

    def killed(self, seed, meter):
        asked = (self.config.learning_rate, self.config.pooling, seed)
        seen.append((*asked, self.data.test is None))
        if len(seen) == 3:
            raise KeyboardInterrupt
        return train(self, seed, meter)

    monkeypatch.setattr(module._AdaptationRun, "_train", killed)
    with pytest.raises(KeyboardInterrupt):
        run(tables)
    run(tables)
    tried = [(rate, pooling, 0, True) for rate in (1e-2, 1e-7) for pooling in ("mean", "max")]
    assert seen[:5] == [*tried[:3], *tried[2:]]
    found = json.loads((tables / "out" / METRICS).read_text())
    sweep = found["sweep"]
    assert [each["values"] for each in sweep["combinations"]] == [
        {"learning_rate": rate, "pooling": pooling} for rate, pooling, *_ in tried
    ]
    losses = [each["validation"]["loss"] for each in sweep["combinations"]]
    best = sweep["combinations"][losses.index(min(losses))]
    chosen = best["values"]
    assert sweep["chosen"] == chosen
    assert seen[5:] == [(*chosen.values(), seed, False) for seed in (0, 1)]
    assert found["seeds"][0]["validation"] == best["validation"]
    assert {key: found["config"][key] for key in chosen} == chosen
    assert load_classifier(str(tables / "out")).config.pooling == chosen["pooling"]
    assert not (tables / "out" / "seeds").exists()


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ({"speed": (1,)}, "a key of sweep must be one of .*learning_rate"),
        ({"seed": (1, 2)}, "a key of sweep must be one of"),
        ({"epochs": ()}, "sweep.epochs needs different values"),
        ({"epochs": (1, 1)}, "sweep.epochs needs different values"),
        ({"epochs": tuple(range(1, 14)), "batch_size": tuple(range(1, 6))}, "has 65 combinations"),
        ({"class_weights": ("none", "balanced")}, "select by a metric"),
    ],
)
def test_an_invalid_sweep_is_an_error(sweep, message):
    with pytest.raises(ValueError, match=message):
        FinetuneConfig(train="t.csv", sweep=sweep)


def test_every_value_is_checked_before_any_training(tables):
    with pytest.raises(InputError, match=r"configuration key 'batch_size'.* got 0"):
        run(tables, sweep={"batch_size": (8, 0)})
    with pytest.raises(InputError, match=r"training on .* tokens at once needs"):
        run(tables, model=None, sweep={"preset": ("tiny", "1b")}, memory_gib=3)
    with pytest.raises(InputError, match=r"60 prompt tokens and a sequence of 26 are longer"):
        run(tables, adapt="prompt", prompt_tokens=4, sweep={"prompt_tokens": (4, 60)})
    assert not (tables / "out").exists()
