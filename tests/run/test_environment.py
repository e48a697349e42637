"""The doctor finds what is there and says what is not."""

from megabase.run import environment


def test_a_missing_extra_names_what_brings_it(monkeypatch):
    monkeypatch.setattr(environment, "_EXTRAS", {"no-such-package": ("plot", "figures")})
    (finding,) = environment.extras()
    assert finding.value == "off"
    assert finding.note == "no figures; pip install 'megabase[plot]'"


def test_storage_looks_at_the_nearest_folder_that_exists(tmp_path):
    memory, cache = environment.storage(tmp_path / "not" / "yet")
    assert memory.value.endswith("GiB")
    assert cache.value.startswith(str(tmp_path / "not" / "yet"))
    assert cache.note == ""
