"""`import megabase` registers our classes with transformers, in either order of import."""

import subprocess
import sys

import pytest

from megabase.model.load import save
from tests import toys

LOAD = """
import sys
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
config = AutoConfig.from_pretrained(sys.argv[1])
print(type(model).__module__, type(tokenizer).__module__, type(config).__module__)
"""
AUTO = "from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer\n"
OURS = "import megabase\n"


def python(code, *arguments):
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("imports", [OURS + AUTO, AUTO + OURS], ids=["ours first", "ours last"])
def test_the_auto_classes_know_ours_in_either_order(tmp_path, imports):
    save(toys.model(), tmp_path)
    ours = "megabase.model.modeling megabase.model.tokenizer megabase.model.config"
    assert python(imports + LOAD, tmp_path) == ours


def test_our_modules_may_be_imported_first():
    code = "from megabase.model.modeling import HyenaDNAForCausalLM as C; print(C.__name__)"
    assert python(code) == "HyenaDNAForCausalLM"


@pytest.mark.parametrize(
    "imports",
    [
        pytest.param("from transformers import Trainer", marks=pytest.mark.slow),
        pytest.param("from transformers import PreTrainedModel, pipeline", marks=pytest.mark.slow),
        "from megabase.training.trainer import PretrainTrainer",
    ],
)
def test_modules_that_import_the_auto_classes_may_come_first(tmp_path, imports):
    save(toys.model(), tmp_path)
    assert python(OURS + imports + "\n" + AUTO + LOAD, tmp_path).startswith("megabase.model")


def test_megabase_alone_imports_neither_torch_nor_transformers():
    code = "import megabase, sys; print({'torch', 'transformers'} & set(sys.modules))"
    assert python(code) == "set()"


def test_transformers_without_its_auto_classes_does_not_import_ours():
    code = "import megabase, transformers, sys; print('megabase.model' in sys.modules)"
    assert python(code) == "False"
