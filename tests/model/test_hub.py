"""A hub id loads from the hub's cache, with our classes alone, and its commit is recorded."""

import json
import os
import subprocess
import sys

import pytest

from megabase.model.load import save_published
from tests import toys
from tests.published_files import hf_config

NAME, COMMIT = "somebody/hyenadna-toy-hf", "0123456789abcdef0123456789abcdef01234567"
LOAD = """
import json, sys
import megabase
from transformers import AutoModelForCausalLM, AutoTokenizer
from megabase.model.load import load
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
AutoTokenizer.from_pretrained(sys.argv[1])
loaded = load(sys.argv[1])
same = (model.backbone.norm.weight == loaded.model.backbone.norm.weight).all().item()
print(json.dumps([type(model).__module__, loaded.revision, same]))
"""


@pytest.fixture
def hub_cache(tmp_path):
    """Lay a released -hf folder out as the hub's library caches a download."""
    repository = tmp_path / "hub" / f"models--{NAME.replace('/', '--')}"
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    save_published(toys.model(), snapshot)
    auto_map = hf_config({"layer": {"w": 10, "emb_dim": 5, "filter_order": 64, "l_max": 66,
                                    "local_order": 3}, "d_inner": 32, "d_model": 8, "n_layer": 2,
                          "embed_dropout": 0.1})  # fmt: skip
    (snapshot / "config.json").write_text(json.dumps(auto_map))
    return tmp_path


def test_a_cached_hub_model_loads_offline_and_names_its_commit(hub_cache):
    environment = os.environ | {"HF_HOME": str(hub_cache), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", LOAD, NAME]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["megabase.model.modeling", COMMIT, True]
