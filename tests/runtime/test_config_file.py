"""A configuration comes from file, options and overrides, and a wrong key is named."""

import pytest
from pydantic import Field

from megabase.runtime.config_file import RunConfig, read_config, to_yaml


class Inner(RunConfig):
    """A part."""

    fraction: float = Field(default=0.1, ge=0, lt=1)


class Outer(RunConfig):
    """A whole."""

    steps: int = 10
    name: str
    inner: Inner = Inner()


def test_overrides_go_over_options_and_options_over_the_file(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("name: a\nsteps: 1\ninner:\n  fraction: 0.5\n")
    config = read_config(
        Outer, file=file, options={"steps": 2, "name": None}, overrides=["inner.fraction=0.25"]
    )
    assert (config.name, config.steps, config.inner.fraction) == ("a", 2, 0.25)


def test_what_is_printed_is_read_back(tmp_path):
    config = read_config(Outer, overrides=["name='1e5'", "inner.fraction=3e-1"])
    assert (config.name, config.inner.fraction) == ("1e5", 0.3)
    (tmp_path / "run.yaml").write_text(to_yaml(config))
    assert read_config(Outer, file=tmp_path / "run.yaml") == config


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["name=a", "stepz=3"], "unknown configuration key 'stepz'; did you mean 'steps'"),
        (["name=a", "inner.fractoin=3"], "did you mean 'inner.fraction'"),
        (["name=a", "zebra=3"], "known keys: steps, name, inner.fraction"),
        (["name=a", "steps=many"], "'steps': Input should be a valid integer.*got 'many'"),
        (["name=a", "inner.fraction=1.5"], "'inner.fraction': .*less than 1, got 1.5"),
        (["steps=3"], "needs a value for 'name'"),
        (["name=a", "steps"], "--set takes key=value, got 'steps'"),
        (["name=a", "name.first=b"], "name has no keys of its own"),
    ],
)
def test_invalid_requests_are_an_error_of_one_line(overrides, message):
    with pytest.raises(ValueError, match=message) as error:
        read_config(Outer, overrides=overrides)
    assert "\n" not in str(error.value)


BOMB = "a0: &a0 [x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is not valid YAML"),
        ("- a\n", "holds list"),
        ("name: a\nsteps: 1\nsteps: 2\n", "is not valid YAML: the key 'steps' is repeated"),
        ("name: 2001-02-30\n", "is not valid YAML: day is out of range"),
        ("[" * 3000, "is not valid YAML"),
        (f"name: {'9' * 5000}\n", "is not valid YAML"),
        (f"name: 0x{'f' * 9000}\n", "'name': .*got a value of type int"),
        (f"{BOMB}name: *a11\n", "unknown configuration key 'a0'"),
        (f"name: {{{BOMB.replace(chr(10), ', ')}}}\n", "'name': Input should be a valid string"),
    ],
)
def test_an_invalid_configuration_file_is_an_error(tmp_path, text, message):
    (tmp_path / "run.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_config(Outer, file=tmp_path / "run.yaml")
    with pytest.raises(ValueError, match="no configuration file"):
        read_config(Outer, file=tmp_path / "none.yaml")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_is_read_as_unicode_whatever_the_locale(tmp_path, encoding):
    (tmp_path / "run.yaml").write_bytes("name: gène\n".encode(encoding))
    assert read_config(Outer, file=tmp_path / "run.yaml").name == "gène"


def test_a_configuration_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Outer(name="a").steps = 3


@pytest.mark.parametrize(
    "value", ["[", "!!python/object:os.system {}", "2001-02-30", "{a: 1, a: 2}", "[" * 3000]
)
def test_an_override_that_is_invalid_yaml_is_an_error(value):
    with pytest.raises(ValueError, match="the value is not valid YAML"):
        read_config(Outer, overrides=["name=a", f"steps={value}"])


def test_a_missing_or_binary_file_is_an_error(tmp_path):
    (tmp_path / "latin.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(ValueError, match="is not valid YAML"):
        read_config(Outer, file=tmp_path / "latin.yaml")
    with pytest.raises(ValueError, match="there is no configuration file"):
        read_config(Outer, file=tmp_path)


def test_an_unknown_key_is_named_before_a_missing_one():
    with pytest.raises(ValueError, match="unknown configuration key 'nam'; did you mean 'name'"):
        read_config(Outer, overrides=["nam=a"])
