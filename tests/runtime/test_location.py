"""A genome's name is a path or an asset; the cache is where the user says."""

from pathlib import Path

import pytest

from megabase.model.files import DEFAULT_MODEL
from megabase.runtime.location import (
    cache_folder,
    describe_missing,
    genome_path,
    is_hub_id,
    model_place,
)


def test_a_path_is_itself_and_an_asset_lies_in_the_package():
    assert genome_path("some/genome.fa") == Path("some/genome.fa")
    assert genome_path("asset:ecoli").is_file()


def test_an_unknown_asset_is_an_error_that_names_the_known():
    with pytest.raises(ValueError, match="shipped genomes are asset:ecoli; got 'asset:yeast'"):
        genome_path("asset:yeast")


def test_a_model_is_a_place_or_the_one_that_ships():
    assert model_place("some/model") == "some/model"
    assert model_place("LongSafari/hyenadna-tiny-1k-seqlen-hf").startswith("LongSafari/")
    assert (Path(model_place(DEFAULT_MODEL)) / "model.safetensors").is_file()
    with pytest.raises(ValueError, match="shipped models are asset:default; got 'asset:large'"):
        model_place("asset:large")


def test_the_cache_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("MEGABASE_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("MEGABASE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "megabase"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "megabase"


def test_without_a_home_the_cache_must_be_named(monkeypatch):
    for name in ("MEGABASE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def homeless():
        raise RuntimeError

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(ValueError, match="set MEGABASE_CACHE"):
        cache_folder()


def test_a_hub_id_is_owner_and_name_and_nothing_like_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    assert is_hub_id("LongSafari/hyenadna-tiny-1k-seqlen-hf")
    assert is_hub_id("owner/model-v1.0")
    for name in ("name", "models/ecoli", "a/b/c", "./a", "../a", "/a/b", "~/a", "a/b.safetensors"):
        assert not is_hub_id(name), name


def test_the_missing_part_of_a_path_is_named_with_what_is_nearly_so(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "file").touch()
    assert describe_missing(tmp_path / "result" / "model") == (
        f"{tmp_path} has no 'result'; did you mean 'results'?"
    )
    assert describe_missing(tmp_path / "other") == f"{tmp_path} has no 'other'"
    assert describe_missing(tmp_path / "file" / "model") == f"{tmp_path / 'file'} is not a folder"
