"""The doctor finds what is there and says what is not."""

from megabase.runtime import environment


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


def test_memory_is_what_a_container_may_take(monkeypatch, tmp_path):
    physical = environment.memory_bytes()
    monkeypatch.setattr(environment, "_CONTAINER_LIMIT", tmp_path / "memory.max")
    whole = environment.memory_bytes()
    assert whole >= physical
    (tmp_path / "memory.max").write_text("1000\n")
    assert environment.memory_bytes() == 1000
    (tmp_path / "memory.max").write_text("max\n")
    assert environment.memory_bytes() == whole


def test_the_first_process_is_told_by_its_rank(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    assert environment.is_first_process()
    monkeypatch.setenv("RANK", "1")
    assert not environment.is_first_process()
