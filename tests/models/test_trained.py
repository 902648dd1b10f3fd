from __future__ import annotations

import json
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from torch import nn

from thermo_qc.errors import ConfigError, ModelError, OutputError
from thermo_qc.models import TrainedModel, build_network, load_trained, loading, to_device
from thermo_qc.models.storage import KEY, content_hash

KINDS = ("forest", "curve", "segmentation")


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_sum_to_one_and_survive_saving(models, recording, tmp_path, kind):
    model = models[kind]
    before = model.probabilities(recording)
    assert before.shape == (3, 40, 48) and before.dtype == np.float32
    assert before.sum(axis=0) == pytest.approx(np.ones((40, 48)), abs=1e-5)
    digest = model.save(tmp_path / "new" / "model.safetensors")
    loaded = load_trained(tmp_path / "new" / "model.safetensors")
    assert np.array_equal(loaded.probabilities(recording), before)
    assert loaded.sha256 == digest == model.sha256
    assert (loaded.kind, loaded.name, loaded.class_names) == (model.kind, model.name, model.class_names)
    assert loaded.parameters == model.parameters
    assert loaded.metadata == {"class_scheme": "depths", "loss": None}
    assert loaded.class_depths_mm[1:] == (2.0, 6.0) and np.isnan(loaded.class_depths_mm[0])


def test_the_batch_size_changes_nothing(models, recording):
    for kind in ("curve", "forest"):
        whole, parts = (models[kind].probabilities(recording, batch_size=size) for size in (10**6, 100))
        assert whole == pytest.approx(parts, abs=1e-6)


def test_the_forest_learnt_the_defect(models, recording, labels):
    assert (models["forest"].probabilities(recording).argmax(axis=0) == labels).mean() > 0.98


class Convolution(nn.Module):
    """Sees one pixel either way."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(channels, 3, 3, padding=1, padding_mode="replicate")

    def forward(self, stack):
        return self.layer(stack)


def test_tiles_equal_the_whole_inside(models, recording):
    torch.manual_seed(1)
    model = replace(models["segmentation"], network=Convolution(12), parameters={"none": 0})
    whole = model.probabilities(recording)
    for tile in (24, 64):
        tiled = model.probabilities(recording, tile_px=tile, overlap=0.5)
        assert tiled == pytest.approx(whole, abs=0.02)
    assert model.probabilities(recording, tile_px=64) == pytest.approx(whole, abs=1e-6)


def test_prediction_leaves_the_network_as_it_was(models, recording):
    model = models["curve"]
    model.network.train()
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    model.probabilities(recording)
    assert model.network.training
    assert all(torch.equal(before[name], value) for name, value in model.network.state_dict().items())
    model.network.eval()


def test_dead_pixels_and_short_recordings(models, recording):
    frames = recording.frames.copy()
    frames[:, 3, 3], frames[5, 20, 20] = np.nan, np.nan
    assert np.isfinite(models["segmentation"].probabilities(replace(recording, frames=frames))).all()
    with pytest.raises(ModelError, match="fewer frames than the model needs"):
        models["forest"].probabilities(recording.between(-10.0, 66.0))


def test_depth_is_the_mean_over_the_defect_classes(models):
    probability = np.zeros((3, 1, 4), dtype=np.float32)
    probability[:, 0] = np.array([[0.8, 0.1, 0.1], [0.1, 0.9, 0.0], [0.2, 0.4, 0.4], [0.4, 0.3, 0.3]]).T
    depth = models["forest"].depth_mm(probability)
    assert depth[0, 1:3] == pytest.approx([2.0, 4.0])
    assert np.isnan(depth[0, [0, 3]]).all()
    unknown = replace(models["forest"], class_depths_mm=(np.nan, np.nan, np.nan))
    assert np.isnan(unknown.depth_mm(probability)).all()
    half = replace(models["forest"], class_depths_mm=(np.nan, 2.0, np.nan))
    assert half.depth_mm(probability)[0, 2] == pytest.approx(2.0)


def test_parts_that_do_not_belong_together_are_refused(models):
    model = models["forest"]
    for changes, message in (
        ({"kind": "magic"}, "model kind is 'magic'"),
        ({"forest": None}, "came with the wrong part"),
        ({"kind": "curve"}, "came with the wrong part"),
        ({"class_names": ("sound",)}, "3 class depths came with 1 class names"),
    ):
        with pytest.raises(ModelError, match=message):
            replace(model, **changes)


def test_devices(models, recording):
    assert to_device("cpu").type == "cpu"
    assert to_device("auto").type in {"cpu", "cuda", "mps"}
    for name in ("gpu9", "meta", "cuda:99"):
        with pytest.raises(ConfigError, match=f"device '{name}' cannot be used here"):
            models["curve"].probabilities(recording, device=name)


@pytest.fixture
def saved(models, tmp_path):
    """Path, header and arrays of a small saved model."""
    path = tmp_path / "model.safetensors"
    models["curve"].save(path)
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        header = json.loads(file.metadata()[KEY])
    return path, header, load_file(path)


def rewrite(path, header, arrays, *, sign=True):
    if sign:
        header = {**header, "sha256": content_hash(header["model"], arrays)}
    save_file(arrays, path, metadata={KEY: json.dumps(header)})


def test_a_changed_weight_is_noticed(saved):
    path, header, arrays = saved
    arrays["network.head.bias"] = arrays["network.head.bias"] + 1
    rewrite(path, header, arrays, sign=False)
    with pytest.raises(ModelError, match="does not match its checksum"):
        load_trained(path)


@pytest.mark.parametrize("keep", [0, 5, 100, 0.5, 0.99])
def test_truncated_files_are_refused(saved, keep):
    path, *_ = saved
    content = path.read_bytes()
    path.write_bytes(content[: int(keep if keep == 0 or keep > 1 else keep * len(content))])
    with pytest.raises(ModelError, match="is no model file of thermo_qc or is damaged"):
        load_trained(path)


class Hostile:
    def __reduce__(self):
        return (print, ("executed",))


def test_a_renamed_pickle_is_refused_and_not_run(tmp_path, capsys):
    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(ModelError, match="is no model file"):
        load_trained(path)
    torch.save({"weights": Hostile()}, path)
    with pytest.raises(ModelError, match="is no model file"):
        load_trained(path)
    assert "executed" not in capsys.readouterr().out


def test_foreign_and_missing_files_are_refused(tmp_path):
    save_file({"x": np.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="without a description by thermo_qc"):
        load_trained(tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="does not exist"):
        load_trained(tmp_path / "missing.safetensors")


def changed_model(**changes):
    return lambda header, arrays: header["model"].update(changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h, a: h.update(format_version=2), "has model format 2, this version reads 1; update"),
        (lambda h, a: h.update(model=[1]), "description in the header is incomplete"),
        (lambda h, a: a.pop("network.head.bias"), "weights belong to another network"),
        (lambda h, a: a.update({"network.head.bias": np.zeros(7, np.float32)}), "weights belong to another network"),
        (lambda h, a: a.update({"surprise": np.zeros(1)}), "belong to no part of a model"),
        (lambda h, a: a.pop("representation.value_scale"), "representation's arrays are"),
        (changed_model(name="lstm"), "is broken .*has no parameter"),
        (changed_model(parameters={"channels": [10**7]}), "is broken .*expected a whole number"),
        (changed_model(kind="pickle"), "model kind is 'pickle'"),
        (changed_model(kind="forest"), "the forest's arrays are"),
        (changed_model(class_names=["a", "b"]), "weights belong to another network"),
        (changed_model(class_depths_mm=["deep", 1, 2]), "is broken"),
        (changed_model(class_depths_mm=None), "is broken"),
        (changed_model(representation={}), "representation has format version None"),
    ],
)
def test_inconsistent_files_are_refused(saved, change, message):
    path, header, arrays = saved
    change(header, arrays)
    rewrite(path, header, arrays, sign=isinstance(header["model"], dict))
    with pytest.raises(ModelError, match=message):
        load_trained(path)


def test_a_loaded_segmenter_never_asks_for_encoder_weights(models, tmp_path):
    model = replace(
        models["segmentation"], parameters={**models["segmentation"].parameters, "encoder_weights": "imagenet"}
    )
    model.save(tmp_path / "model.safetensors")
    assert load_trained(tmp_path / "model.safetensors").network is not None


def test_a_description_of_a_huge_network_is_refused_before_it_takes_memory(models, tmp_path, monkeypatch):
    huge = {"hidden": 2048, "layers": 8}
    replace(models["curve"], name="lstm", parameters=huge).save(tmp_path / "model.safetensors")
    places = []
    build = loading.build_network
    monkeypatch.setattr(
        loading, "build_network", lambda *a, **k: places.append(torch.get_default_device().type) or build(*a, **k)
    )
    with pytest.raises(ModelError, match="the weights belong to another network"):
        load_trained(tmp_path / "model.safetensors")
    assert places == ["meta"]  # where tensors have shapes and no values


def test_an_encoder_that_looks_at_values_while_it_is_built_comes_back(models, tmp_path):
    from thermo_qc.models import build_segmenter

    plain, own = models["segmentation"], {"encoder": "mit_b0", "decoder_channels": [8, 8, 8, 8, 8]}
    network = build_segmenter("unet", in_channels=plain.representation.n_stack_channels, n_classes=3, **own)
    digest = replace(plain, name="unet", network=network, parameters=own).save(tmp_path / "model.safetensors")
    assert load_trained(tmp_path / "model.safetensors").sha256 == digest


def test_a_segmenter_with_an_adapter_comes_back(models, tmp_path):
    from thermo_qc.models import build_segmenter

    plain, own = models["segmentation"], {"encoder": "mobileone_s0"}
    channels = plain.representation.n_stack_channels
    network = build_segmenter("unet", in_channels=channels, n_classes=plain.n_classes, adapter=True, **own)
    model = replace(plain, name="unet", network=network, parameters={**own, "encoder_weights": "weights.pth"})
    digest = model.save(tmp_path / "model.safetensors")
    assert load_trained(tmp_path / "model.safetensors").sha256 == digest


@pytest.mark.parametrize("value", ["a", 0, -1.0, True, float("inf")])
def test_a_strange_spread_of_the_depth_is_refused(models, value):
    with pytest.raises(ModelError, match=r"the model's depth_spread is .*, expected a number above 0"):
        replace(models["segmentation"], metadata={"depth_spread": value})


def test_networks_of_our_own_say_what_they_do_not_know(representation):
    from thermo_qc.errors import UnknownNameError
    from thermo_qc.models import build_network

    for name, wrong, meant in (("curve_unet", "curve_width", "curve_widths"), ("pixel_curves", "radius", "radii")):
        with pytest.raises(UnknownNameError, match=rf"network '{name}' has no parameter '{wrong}'.*{meant}"):
            build_network("segmentation", name, representation=representation, n_classes=2, parameters={wrong: [8]})
    with pytest.raises(ConfigError, match="depth_head is for networks on stacks, this model is of kind 'curve'"):
        build_network("curve", "cnn1d", representation=representation, n_classes=2, parameters={"depth_head": True})


def test_saving_where_it_is_impossible_says_so(models, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError):
        models["forest"].save(tmp_path / "file" / "model.safetensors")


def test_the_hash_depends_on_weights_and_description(models, representation):
    torch.manual_seed(9)
    network = build_network(
        "curve", "cnn1d", representation=representation, n_classes=3, parameters={"channels": [8], "kernel": 3}
    )
    model = models["curve"]
    assert (
        len({model.sha256, replace(model, network=network).sha256, replace(model, class_names=("a", "b", "c")).sha256})
        == 3
    )


def test_forests_are_used_without_torch(models, tmp_path):
    models["forest"].save(tmp_path / "model.safetensors")
    code = (
        "import sys; from thermo_qc.models import load_trained; "
        f"model = load_trained(r'{tmp_path / 'model.safetensors'}'); "
        "assert model.forest is not None and 'torch' not in sys.modules and 'sklearn' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_names_are_looked_up_lazily():
    import thermo_qc.models as package

    assert all(getattr(package, name) is not None for name in package.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = package.nothing
    assert package.TrainedModel is TrainedModel
