from __future__ import annotations

import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from thermo_qc.errors import ConfigError, ModelError, UnknownNameError
from thermo_qc.models import SEGMENTERS, build_segmenter, encoder_names, parameter_count
from thermo_qc.models.segmenter import Segmenter

SMALL = {"encoder_depth": 3}
THIN = {
    "upernet": {"decoder_channels": 32},
    "dpt": {"decoder_intermediate_channels": [16, 16, 16, 16], "decoder_fusion_channels": 16},
}
SLOW_ENCODERS = (
    "resnet18", "vgg11", "inceptionv4", "inceptionresnetv2", "efficientnet-b0", "densenet121", "mobilenet_v2",
    "mobileone_s0", "mit_b0", "dpn68", "tu-resnet10t", "tu-convnext_atto", "tu-vit_tiny_patch16_224",
    "tu-swin_tiny_patch4_window7_224",
)  # fmt: skip


def tiny(name: str, **more) -> Segmenter:
    encoder = "tu-test_vit" if name == "dpt" else "tu-test_resnet"
    return build_segmenter(name, in_channels=5, n_classes=3, encoder=encoder, **THIN.get(name, {}), **more)


@pytest.fixture(scope="module")
def networks() -> dict[str, Segmenter]:
    """Every decoder with the smallest encoder."""
    return {name: tiny(name) for name in SEGMENTERS}


def test_every_decoder_of_the_package_is_there():
    import segmentation_models_pytorch as smp

    named = {"Unet", "UnetPlusPlus", "MAnet", "Linknet", "FPN", "PSPNet", "PAN", "DeepLabV3", "DeepLabV3Plus",
             "UPerNet", "Segformer", "DPT"}  # fmt: skip
    assert {name.lower() for name in named} == set(SEGMENTERS)
    assert all(getattr(smp, name) is SEGMENTERS[name.lower()] for name in named)


def test_a_network_that_needs_larger_frames_gets_them(networks):
    assert networks["pan"].smallest_px == 128
    assert networks["unet"].smallest_px == 64


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SEGMENTERS))
@pytest.mark.parametrize("encoder", SLOW_ENCODERS)
def test_each_combination_works_or_is_refused_in_one_line(name, encoder):
    try:
        network = build_segmenter(name, in_channels=4, n_classes=3, encoder=encoder)
    except ConfigError as error:
        assert "take another encoder" in str(error)
        assert "\n" not in str(error)
        assert encoder != "resnet18" or name == "dpt"
        return
    network.train()
    logits = network(torch.randn(1, 4, 32, 32))
    assert logits.shape == (1, 3, 32, 32)
    logits.mean().backward()


@pytest.mark.parametrize("name", sorted(SEGMENTERS))
@pytest.mark.parametrize("shape", [(37, 70), (1, 9)])
def test_any_size_comes_back(networks, name, shape):
    network = networks[name].eval()
    with torch.inference_mode():
        logits = network(torch.randn(1, 5, *shape))
    assert logits.shape == (1, 3, *shape)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("name", sorted(SEGMENTERS))
def test_a_single_small_image_can_be_trained_on(networks, name):
    network = networks[name].train()
    network(torch.randn(1, 5, 32, 32)).mean().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in network.body.encoder.parameters())
    network.zero_grad()


@pytest.mark.parametrize("encoder", ["vgg11", "inceptionv4", "efficientnet-b0", "tu-resnet10t"])
def test_other_families_of_encoders_work(encoder):
    network = build_segmenter("unet", in_channels=4, n_classes=2, encoder=encoder).eval()
    with torch.inference_mode():
        assert network(torch.randn(1, 4, 40, 50)).shape == (1, 2, 40, 50)


def test_pretrained_encoders_with_several_first_convolutions_keep_three_channels(tmp_path):
    plain = build_segmenter("unet", in_channels=3, n_classes=2, encoder="mobileone_s0")
    save_file(plain.body.encoder.state_dict(), tmp_path / "weights.safetensors")
    network = build_segmenter(
        "unet",
        in_channels=7,
        n_classes=2,
        encoder="mobileone_s0",
        encoder_weights=str(tmp_path / "weights.safetensors"),
    ).eval()
    with torch.inference_mode():
        assert network(torch.randn(1, 7, 64, 64)).shape == (1, 2, 64, 64)
    assert isinstance(network.adapter, nn.Conv2d)
    own = network.build_parameters
    assert own["adapter"] is True and "adapter" not in plain.build_parameters
    again = build_segmenter("unet", in_channels=7, n_classes=2, **own).eval()  # without the pretrained weights
    again.load_state_dict(network.state_dict())
    with torch.inference_mode():
        image = torch.randn(1, 7, 64, 64)
        assert torch.equal(again(image), network(image))


def test_dropout_acts_in_training_alone(networks):
    with_dropout = build_segmenter(
        "unet", in_channels=1, n_classes=2, dropout=0.5, decoder_channels=[8, 8, 16], **SMALL
    )
    torch.manual_seed(0)
    stack = torch.randn(1, 1, 64, 64)
    with_dropout.train()
    assert not torch.equal(with_dropout(stack), with_dropout(stack))
    with_dropout.eval()
    assert torch.equal(with_dropout(stack), with_dropout(stack))
    assert with_dropout.build_parameters == {
        "encoder": "resnet18", "dropout": 0.5, "decoder_channels": [8, 8, 16], "encoder_depth": 3}  # fmt: skip


def test_names_of_encoders_are_known():
    names = encoder_names()
    assert {"resnet18", "vgg16", "inceptionv4", "tu-resnet18"} <= set(names)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"name": "unett"}, UnknownNameError, "unknown segmentation model 'unett'; did you mean 'unet'"),
        ({"encoder": "resnet19"}, UnknownNameError, "unknown encoder 'resnet19'; did you mean 'resnet1"),
        ({"encoder": "tu-hf-hub:someone/something"}, UnknownNameError, "unknown encoder"),
        ({"encoder": 3}, UnknownNameError, "unknown encoder '3'"),
        ({"dropot": 0.1}, UnknownNameError, "has no parameter 'dropot'"),
        ({"dropout": 2}, ConfigError, "from 0 to below 1"),
        ({"encoder_depth": 9}, ConfigError, "'encoder_depth' is 9"),
        ({"decoder_channels": [10**9]}, ConfigError, "'decoder_channels' is 1000000000"),
        ({"decoder_channels": [8, 8]}, ConfigError, "cannot be built with encoder 'resnet18'"),
        ({"name": "deeplabv3", "encoder": "densenet121"}, ConfigError, "take another encoder"),
        ({"name": "deeplabv3plus", "encoder": "vgg11"}, ConfigError, "take another encoder"),
        ({"name": "dpt", "encoder": "resnet18"}, ConfigError, "Only Timm encoders .* such as tu-vit_tiny_patch16_224"),
        ({"name": "linknet", "encoder": "mit_b0"}, ConfigError, "not supported for Linknet; take another encoder"),
        ({"name": "pan", "encoder_output_stride": 8}, ConfigError, "take another encoder"),
        ({"name": "fpn", "decoder_merge_policy": "mean"}, ConfigError, "take another encoder .* or correct"),
        ({"name": "pspnet", "psp_dropout": 1.5}, ConfigError, "'psp_dropout' is 1.5"),
        ({"name": "linknet", "decoder_channels": [8]}, UnknownNameError, "'linknet' has no parameter"),
        ({"in_channels": 0}, ConfigError, "'in_channels' is 0"),
        ({"encoder_weights": "some.txt"}, ModelError, "neither 'none', 'imagenet' nor a file ending in"),
        ({"encoder_weights": "missing.pth"}, ModelError, "do not exist"),
    ],
)
def test_wrong_choices_are_refused(arguments, error, message):
    choices = {"name": "unet", "in_channels": 2, "n_classes": 2, **arguments}
    with pytest.raises(error, match=message):
        build_segmenter(choices.pop("name"), **choices)


@pytest.fixture(scope="module")
def pretrained() -> dict[str, torch.Tensor]:
    torch.manual_seed(5)
    return build_segmenter(
        "unet", in_channels=3, n_classes=2, decoder_channels=[8, 8, 8], **SMALL
    ).body.encoder.state_dict()


def test_local_weights_fill_the_encoder_and_the_channels_share_the_first_kernel(pretrained, tmp_path):
    save_file(pretrained, tmp_path / "weights.safetensors")
    torch.save({"state_dict": {f"encoder.{k}": v for k, v in pretrained.items()}}, tmp_path / "weights.pth")
    for name in ("weights.safetensors", "weights.pth"):
        network = build_segmenter(
            "unet",
            in_channels=5,
            n_classes=2,
            encoder_weights=str(tmp_path / name),
            decoder_channels=[8, 8, 8],
            **SMALL,
        )
        encoder = network.body.encoder
        assert torch.equal(encoder.layer1[0].conv1.weight, pretrained["layer1.0.conv1.weight"])
        first = pretrained["conv1.weight"] * 3 / 5
        assert torch.allclose(encoder.conv1.weight[:, 4], first[:, 1])
        assert network(torch.randn(2, 5, 64, 64)).shape == (2, 2, 64, 64)
        assert "encoder_weights" not in network.build_parameters


def test_weights_of_another_encoder_are_refused(pretrained, tmp_path):
    save_file(pretrained, tmp_path / "weights.safetensors")
    with pytest.raises(ModelError, match="of encoder 'resnet34' are in it"):
        build_segmenter(
            "unet",
            in_channels=3,
            n_classes=2,
            encoder="resnet34",
            encoder_weights=str(tmp_path / "weights.safetensors"),
        )


class Hostile:
    def __reduce__(self):
        return (print, ("executed",))


def test_broken_and_hostile_weights_are_refused(tmp_path, capsys):
    (tmp_path / "a.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0nonsense")
    (tmp_path / "b.pth").write_bytes(pickle.dumps(Hostile()))
    torch.save({"x": Hostile()}, tmp_path / "c.pth")
    torch.save([1, 2], tmp_path / "d.pth")
    for name in "a.safetensors", "b.pth", "c.pth", "d.pth":
        with pytest.raises(ModelError, match=r"are broken|are refused|hold no state"):
            build_segmenter("unet", in_channels=3, n_classes=2, encoder_weights=str(tmp_path / name), **SMALL,
                            decoder_channels=[8, 8, 8])  # fmt: skip
    assert "executed" not in capsys.readouterr().out


def test_imagenet_weights_without_a_network_say_the_way_out(monkeypatch):
    import huggingface_hub

    def offline(*_args, **_kwargs):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    with pytest.raises(
        ModelError, match=r"could not be fetched \(no route to host\); fetch model.safetensors of .* or use 'none'"
    ):
        build_segmenter("unet", in_channels=3, n_classes=2, encoder_weights="imagenet")


@pytest.mark.parametrize(
    ("proxies", "address", "asks_cache_alone"),
    [({}, False, True), ({}, True, False), ({"https": "p"}, False, False), ({"no": "localhost"}, False, True)],
)
def test_the_cache_alone_is_asked_where_the_hub_has_no_address(monkeypatch, proxies, address, asks_cache_alone):
    import socket

    import huggingface_hub
    from huggingface_hub import constants
    from huggingface_hub.errors import LocalEntryNotFoundError

    from thermo_qc.models import encoder_weights

    def address_of(*_args):
        if not address:
            raise socket.gaierror("name or service not known")
        return [("somewhere",)]

    seen = []

    def fetched(*_args, local_files_only=False, **_kwargs):
        if local_files_only:
            raise LocalEntryNotFoundError("not in the cache")
        seen.append(constants.HF_HUB_OFFLINE)
        raise ConnectionError("nothing there")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(encoder_weights, "getproxies", lambda: proxies)
    monkeypatch.setattr(socket, "getaddrinfo", address_of)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetched)
    with pytest.raises(ModelError, match="could not be fetched"):
        encoder_weights.read_encoder_weights("resnet18", "imagenet")
    assert seen == [asks_cache_alone] and constants.HF_HUB_OFFLINE is False


def test_imagenet_weights_come_from_the_cache(monkeypatch, tmp_path, pretrained):
    import huggingface_hub

    save_file(pretrained, tmp_path / "model.safetensors")
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_a, **_k: str(tmp_path / "model.safetensors"))
    network = build_segmenter(
        "unet", in_channels=3, n_classes=2, encoder_weights="imagenet", decoder_channels=[8, 8, 8], **SMALL
    )
    assert torch.equal(network.body.encoder.conv1.weight, pretrained["conv1.weight"])
    with pytest.raises(ModelError, match="no ImageNet weights for encoder"):
        build_segmenter("unet", in_channels=3, n_classes=2, encoder="dpn68b", encoder_weights="imagenet")


def test_constructing_downloads_nothing(monkeypatch):
    import socket

    def refuse(*_args, **_kwargs):
        raise AssertionError("a constructor opened a socket")

    monkeypatch.setattr(socket, "create_connection", refuse)
    for encoder in ("resnet18", "tu-resnet10t"):
        assert parameter_count(build_segmenter("unet", in_channels=3, n_classes=2, encoder=encoder)) > 10**6
