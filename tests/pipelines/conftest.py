"""The files that the jobs of all verbs read, and parts so small that every job has several."""

import pytest

from megabase.inference import plan as plan_module
from megabase.pipelines import mutagenesis as mutagenesis_module
from megabase.pipelines import tracks as tracks_module
from megabase.pipelines.pipeline import Pipeline
from tests import toys
from tests.pipelines.jobs import write_files


@pytest.fixture(scope="package")
def files(tmp_path_factory):
    return write_files(tmp_path_factory.mktemp("pipelines"))


@pytest.fixture(scope="package")
def remembering_files(tmp_path_factory):
    """The same with models that have a memory."""
    return write_files(tmp_path_factory.mktemp("remembering"), **toys.MEMORY)


@pytest.fixture
def small_parts(monkeypatch):
    for each in Pipeline.__subclasses__():
        monkeypatch.setattr(each, "bases_in_part", 64)
    monkeypatch.setattr(tracks_module, "_TOKENS_PER_PART", 128)
    monkeypatch.setattr(mutagenesis_module, "_BASES_PER_PART", {"exact": 16, "gradient": 16})
    monkeypatch.setattr(plan_module, "_AT_ONCE", 2)
