"""YAML files, overrides and the complaints about them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from thermo_qc import config as schemas
from thermo_qc.config import (
    CorpusConfig,
    CorpusExperimentConfig,
    DataConfig,
    ExperimentConfig,
    Facts,
    PlateConfig,
    SimulationConfig,
    Strict,
    load_config,
    parse_config,
    read_yaml,
)
from thermo_qc.errors import ConfigError, InputError, UnknownNameError
from thermo_qc.plate import shipped_plates

ROOT = Path(__file__).parents[2]
EXPERIMENT: dict[str, Any] = {"name": "a", "model": {"kind": "forest", "name": "random_forest"}}
SCHEMAS = [value for value in vars(schemas).values() if isinstance(value, type) and issubclass(value, Strict)]

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(text: str) -> Path:
        (tmp_path / "c.yaml").write_text(text, encoding="utf-8")
        return tmp_path / "c.yaml"

    return to_file


def experiment(**sections: Any) -> ExperimentConfig:
    return parse_config(ExperimentConfig, {**EXPERIMENT, **sections}, "e.yaml")


def refusal(schema: type[Strict], content: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(schema, content, "e.yaml")
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("e.yaml")
    return message.removeprefix("e.yaml").removeprefix(": ")


# Reading


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1E5", 1e5),
        ("-2.5e+3", -2500.0),
        (".5e1", 5.0),
        ("1.e2", 100.0),
        ("12", 12),
        ("0.5", 0.5),
        (".inf", float("inf")),
        ("e5", "e5"),
        ("1e", "1e"),
        ("2024-01-05", "2024-01-05"),
        ("2024-99-99", "2024-99-99"),
        ("'1e-3'", "1e-3"),
        ("true", True),
        ("", None),
    ],
)
def test_scalars_are_what_people_mean(write: Write, text: str, value: object) -> None:
    found = read_yaml(write(f"a: {text}\n"))["a"]
    assert found == value
    assert type(found) is type(value)


@given(st.floats(allow_nan=False))
@settings(deadline=None, max_examples=60)
def test_every_float_that_python_writes_is_read_as_a_float(value: float) -> None:
    from thermo_qc.config.yaml_text import _parse

    text = repr(value).replace("inf", ".inf")
    assert _parse(text) == value
    assert isinstance(_parse(text), float)


@given(
    st.dictionaries(
        st.text("ab -:#'\"\n", min_size=1, max_size=5),
        st.none()
        | st.booleans()
        | st.integers()
        | st.text("yn -:#{}[]'\"\n\t", max_size=8)
        | st.floats(allow_nan=False),
        max_size=3,
    )
)
@settings(deadline=None, max_examples=30)
def test_what_is_dumped_comes_back(content: dict[str, Any]) -> None:
    from thermo_qc.config.yaml_text import _parse

    assert _parse(yaml.safe_dump(content)) == content


def test_exponents_count_in_free_parameters_too(write: Write) -> None:
    path = write("name: a\nmodel: {kind: curve, name: lstm, parameters: {dropout: 1e-1}}\n")
    assert load_config(ExperimentConfig, path).model.parameters == {"dropout": 0.1}
    changed = load_config(ExperimentConfig, path, ["model.parameters.dropout=2e-1"])
    assert changed.model.parameters == {"dropout": 0.2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1\nb: }\n", "is not valid YAML at line 2: expected ',' or ']', but got ':'; correct the file"),
        ("a: 1\nb: 2\na: 3\n", "is not valid YAML at line 3: key 'a' is given twice"),
        ("a:\n  - {b: 1, b: 2}\n", "is not valid YAML at line 2: key 'b' is given twice"),
        ("a: 1\n---\nb: 2\n", "at line 2: expected a single document in the stream, but found another document"),
        ("a: !!python/object/apply:os.getcwd []\n", "could not determine a constructor for the tag"),
        ("a\x00b", "is not valid YAML: unacceptable character #x0000"),
        ("? [a]\n: 1\n", "found unhashable key"),
        ("[" * 800 + "]" * 800, "is not valid YAML at line 1: nested too deeply"),
    ],
)
def test_broken_yaml_is_one_line_with_its_place(write: Write, text: str, message: str) -> None:
    path = write(text)
    with pytest.raises(ConfigError) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(b"name: \xff\n")
    with pytest.raises(ConfigError, match=r"c\.yaml is not valid YAML: 'utf-8' codec can't decode byte 0xff"):
        read_yaml(tmp_path / "c.yaml")


def test_merged_keys_may_be_given_again(write: Write) -> None:
    path = write("b: &b {x: 1}\nc: &c {<<: *b, x: 2}\nd: {<<: *c, x: 3}\n")
    assert read_yaml(path) == {"b": {"x": 1}, "c": {"x": 2}, "d": {"x": 3}}


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml does not exist; check the path"):
        load_config(ExperimentConfig, tmp_path / "none.yaml")
    with pytest.raises(InputError, match="is a folder, expected a YAML file; name the file inside it"):
        load_config(ExperimentConfig, tmp_path)


def test_a_file_that_cannot_be_read_is_named(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    path = write("a: 1")
    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(InputError, match=r"c\.yaml cannot be read: Permission denied; check the path and its"):
        read_yaml(path)


# Schemas


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models_in(inner)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_schema_is_strict_frozen_and_finite(schema: type[Strict]) -> None:
    assert schema.model_config["extra"] == "forbid"
    assert schema.model_config["frozen"] is True
    assert schema.model_config["allow_inf_nan"] is False
    for name, field in schema.model_fields.items():
        for inner in models_in(field.annotation):
            assert issubclass(inner, Strict), f"{schema.__name__}.{name}"


def test_configurations_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        experiment().seed = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("schema", "content", "message"),
    [
        (ExperimentConfig, {"sede": 1}, "unknown key 'sede'; did you mean 'seed'?"),
        (ExperimentConfig, {"train": {"epoch": 1}}, "unknown key 'train.epoch'; did you mean 'epochs'?"),
        (
            ExperimentConfig,
            {"train": {"optimiser": {"learningrate": 1}}},
            "unknown key 'train.optimiser.learningrate'; did you mean 'learning_rate'?",
        ),
        (
            ExperimentConfig,
            {"train": {"losses": [{"name": "dice"}, {"wieght": 2}]}},
            "unknown key 'train.losses.1.wieght'; did you mean 'weight'?",
        ),
        (
            ExperimentConfig,
            {"representation": {"time": {"zzz": 1}}},
            "unknown key 'representation.time.zzz'; known: end, n_steps, origin, spacing, start, unit",
        ),
        (SimulationConfig, {"camera": {"netd": 1}}, "unknown key 'camera.netd'; did you mean 'netd_k'?"),
        (
            SimulationConfig,
            {"heating": {"lamps": [{"x": 3}]}},
            "unknown key 'heating.lamps.0.x'; known: edge_level, width_mm, x_mm, y_mm",
        ),
        (
            PlateConfig,
            {"class_schemes": {"regions": [{"nmae": "a"}]}},
            "unknown key 'class_schemes.regions.0.nmae'; did you mean 'name'?",
        ),
        (PlateConfig, {"holes": [{"x_m": 3}]}, "unknown key 'holes.0.x_m'; did you mean 'x_mm'?"),
        (Facts, {"material": {"density": 3}}, "unknown key 'material.density'; did you mean 'density_kg_m3'?"),
    ],
)
def test_unknown_keys_are_answered_at_every_depth(schema: type[Strict], content: dict[str, Any], message: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        parse_config(schema, content, "e.yaml")
    assert str(caught.value) == f"e.yaml: {message}"


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"model": {"kind": "curve"}}, "'model.name' is missing; add it"),
        ({"model": {"kind": "curved", "name": "x"}}, "'model.kind' is 'curved'; did you mean 'curve'?"),
        ({"representation": {"scale": 3}}, "'representation.scale' is 3, expected one of none, noise, noise_arcsinh, "),
        ({"train": None}, "'train' is empty, expected keys such as epochs with their values"),
        ({"train": 5}, "'train' is 5, expected keys such as epochs with their values"),
        (
            {"model": {"kind": "curve", "name": "x", "parameters": 3}},
            "'model.parameters' is 3, expected keys with their",
        ),
        ({"train": {"epochs": 0}}, "'train.epochs' is 0, expected a number greater than 0"),
        ({"train": {"epochs": 2.5}}, "'train.epochs' is 2.5, expected a whole number"),
        ({"train": {"epochs": "many"}}, "'train.epochs' is 'many', expected a whole number"),
        ({"train": {"epochs": None}}, "'train.epochs' is empty, expected a whole number"),
        ({"train": {"losses": []}}, "'train.losses' is [], expected at least 1 entry"),
        ({"train": {"losses": {"name": "dice"}}}, "'train.losses' is {'name': 'dice'}, expected a list"),
        ({"train": {"losses": [{"class_weights": "balnced"}]}}, "'train.losses.0.class_weights' is 'balnced'; did you"),
        (
            {"train": {"losses": [{"class_weights": [1, -2]}]}},
            "'train.losses.0.class_weights.1' is -2, expected a number",
        ),
        (
            {"train": {"optimiser": {"learning_rate": float("nan")}}},
            "'train.optimiser.learning_rate' is nan, expected a finite number",
        ),
        (
            {"train": {"optimiser": {"learning_rate": float("inf")}}},
            "'train.optimiser.learning_rate' is inf, expected a finite number",
        ),
        ({"name": 5}, "'name' is 5, expected text; put it in quotes"),
        ({"name": ".."}, "'name' is '..', expected text that matches"),
        ({"name": "a/b"}, "'name' is 'a/b', expected text that matches"),
        ({"seed": -1}, "'seed' is -1, expected a number greater than or equal to 0"),
        ({"seed": 2**31}, "'seed' is 2147483648, expected a number less than 2147483648"),
        ({"folds": {"k": 1}}, "'folds.k' is 1, expected a number greater than or equal to 2"),
        ({"representation": {"channels": "value"}}, "'representation.channels' is 'value', expected a list"),
        (
            {"representation": {"channels": ["value", "vaule"]}},
            "'representation.channels.1' is 'vaule'; did you mean 'value'?",
        ),
        ({"representation": {"channels": []}}, "'representation.channels' is [], expected at least 1 entry"),
        (
            {"representation": {"channels": ["value"] * 2}},
            "'representation': channels names 'value' twice; list each once",
        ),
        ({"representation": {"features": ["tsr"] * 2}}, "'representation': features names 'tsr' twice"),
        (
            {"representation": {"time": {"start": 0.0}}},
            "'representation.time': time.start must be greater than 0 for log",
        ),
        (
            {"representation": {"time": {"start": 1}}},
            "'representation.time': time.end 1.0 must be greater than time.start 1",
        ),
        (
            {"representation": {"time": {"end": 2}}},
            "'representation.time': time.end 2.0 must be at most 1 when time.unit",
        ),
        ({1: 2}, "the key 1 is no text; put it in quotes"),
        ({"train": {"epochs": "x" * 1000}}, "expected a whole number"),
    ],
)
def test_wrong_values_are_answered_with_place_and_expectation(sections: dict[Any, Any], message: str) -> None:
    found = refusal(ExperimentConfig, {**EXPERIMENT, **sections})
    assert message in found
    assert len(found) < 200


@pytest.mark.parametrize(
    ("schema", "content", "message"),
    [
        (Facts, {"axes": "ttt"}, "'axes' is 'ttt'; known: txy, tyx, xty, xyt, ytx, yxt"),
        (Facts, {"unit": "k"}, "'unit' is 'k'; did you mean 'K'?"),
        (Facts, {"t_first_s": float("nan")}, "'t_first_s' is nan, expected a finite number"),
        (Facts, {"emissivity": 1.5}, "'emissivity' is 1.5, expected a number less than or equal to 1"),
        (Facts, {"specimen_id": 7}, "'specimen_id' is 7, expected text; put it in quotes"),
        (Facts, {"times_s": [0, "x"]}, "'times_s.1' is 'x', expected a number"),
        (SimulationConfig, {"plate": "p", "seed": -1}, "'seed' is -1, expected a number greater than or equal to 0"),
        (
            SimulationConfig,
            {"plate": "p", "heating": {"kind": "longpuls"}},
            "'heating.kind' is 'longpuls'; did you mean 'long_pulse'",
        ),
        (Facts, [], "holds a list, expected keys with their values"),
        (Facts, "hello", "holds 'hello', expected keys with their values"),
    ],
)
def test_wrong_values_of_the_other_schemas(schema: type[Strict], content: Any, message: str) -> None:
    assert message in refusal(schema, content)


def test_only_class_bands_may_be_infinite() -> None:
    assert schemas.ClassBand(name="deep", max_depth_mm=float("inf")).max_depth_mm == float("inf")
    for wrong in (0.0, -1.0, float("nan")):
        assert "'max_depth_mm'" in refusal(schemas.ClassBand, {"name": "deep", "max_depth_mm": wrong})


# Overrides


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("train.epochs=3", 3),
        ("train.optimiser.learning_rate=1e-2", 0.01),
        ("train.losses.1.weight=2e-1", 0.2),
        ("train.losses=[{name: focal}]", 1),
        ("data.manifest=a=b.yaml", "a=b.yaml"),
        ("data={manifest: m.yaml}", DataConfig(manifest="m.yaml")),
        ("folds.k=", None),
        (" seed =4", 4),
    ],
)
def test_overrides(write: Write, override: str, expected: object) -> None:
    path = write(
        "name: a\nmodel: {kind: forest, name: f}\ntrain:\n  losses: [{name: dice}, {name: focal}]\nfolds: {k: 3}\n"
    )
    found = load_config(ExperimentConfig, path, [override])
    value: Any = found
    for key in override.partition("=")[0].strip().split("."):
        value = value[int(key)] if key.isdecimal() else getattr(value, key)
    assert (len(value) if isinstance(value, tuple) else value) == expected


def test_an_override_fills_an_empty_section(write: Write) -> None:
    path = write("name: a\nmodel: {kind: forest, name: f}\ntrain:\n")
    assert load_config(ExperimentConfig, path, ["train.epochs=3"]).train.epochs == 3


def test_later_overrides_win_and_the_file_stays(write: Write) -> None:
    path = write("name: a\nmodel: {kind: forest, name: f}\n")
    before = path.read_bytes()
    assert load_config(ExperimentConfig, path, ["seed=1", "train.epochs=5", "seed=2"]).seed == 2
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epochs", "--set train.epochs: expected key=value, for example --set train.epochs=20"),
        ("=3", "--set =3: expected key=value"),
        ("train..epochs=3", "--set train..epochs=3: expected key=value"),
        (
            "name.first=3",
            "--set name.first=3: 'name' is not a section of the configuration and has no 'first'; check the",
        ),
        ("train.losses.2.weight=1", "'train.losses' is a list of 2 and has no '2'; check the path before the '='"),
        ("train.losses.first.weight=1", "'train.losses' is a list of 2 and has no 'first'"),
        (
            "train.epochs=[1",
            "--set train.epochs=[1: '[1' is not a YAML value; put text with special characters in quotes",
        ),
        ("train.epoch=1", "c.yaml with --set train.epoch=1: unknown key 'train.epoch'; did you mean 'epochs'?"),
        ("train.epochs=0", "c.yaml with --set train.epochs=0: 'train.epochs' is 0, expected a number greater than 0"),
    ],
)
def test_wrong_overrides_are_refused(write: Write, override: str, message: str) -> None:
    path = write("name: a\nmodel: {kind: forest, name: f}\ntrain:\n  losses: [{name: dice}, {name: focal}]\n")
    with pytest.raises(ConfigError) as caught:
        load_config(ExperimentConfig, path, [override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "message"), [("- a\n", "holds a list, expected keys"), ("", "'name' is missing")])
def test_overrides_of_files_without_keys(write: Write, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(ExperimentConfig, write(text), ["seed=3"])


# Files that ship


def of_a_corpus(path: Path) -> bool:
    return "corpus" in read_yaml(path)


SHIPPED = sorted((ROOT / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", [path for path in SHIPPED if of_a_corpus(path)], ids=lambda path: path.stem)
def test_trainings_on_a_corpus_load_under_their_own_name(path: Path) -> None:
    assert load_config(CorpusExperimentConfig, path).name == path.stem


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "corpora").glob("*.yaml")), ids=lambda path: path.stem)
def test_corpora_load_under_their_own_name(path: Path) -> None:
    assert load_config(CorpusConfig, path).name == path.stem


@pytest.mark.parametrize("path", [path for path in SHIPPED if not of_a_corpus(path)], ids=lambda path: path.stem)
def test_experiments_load_under_their_own_name(path: Path) -> None:
    assert load_config(ExperimentConfig, path).name == path.stem


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "plates").glob("*.yaml")), ids=lambda path: path.stem)
def test_plates_load_under_their_own_name(path: Path) -> None:
    assert load_config(PlateConfig, path).name == path.stem


def test_demo_files_load() -> None:
    demo = ROOT / "thermo_qc" / "resources" / "demo"
    acquisitions = [load_config(SimulationConfig, path) for path in sorted((demo / "acquisitions").glob("*.yaml"))]
    assert acquisitions
    assert {config.plate for config in acquisitions} <= shipped_plates().keys()
    assert all(load_config(ExperimentConfig, path) for path in (demo / "methods").glob("*.yaml"))


def test_a_dumped_experiment_is_the_experiment(tmp_path: Path) -> None:
    original = experiment(train={"losses": [{"class_weights": [1, 2]}]}, representation={"pca_components": 3})
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(original.model_dump(mode="json"), sort_keys=False), encoding="utf-8")
    assert load_config(ExperimentConfig, path) == original
