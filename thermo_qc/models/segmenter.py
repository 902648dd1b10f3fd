"""Networks that see the whole stack: (B, C, Y, X) -> logits (B, K, Y, X), over segmentation_models_pytorch."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn
from torch.nn import functional

from thermo_qc.errors import ConfigError, ModelError, UnknownNameError, choose, suggestion
from thermo_qc.models.encoder_weights import DEFAULT_ENCODER, fill_encoder, read_encoder_weights
from thermo_qc.models.parameters import check_names, fraction, integer

__all__ = ["SEGMENTERS", "Segmenter", "build_segmenter", "encoder_names", "parameter_count"]

SEGMENTERS: dict[str, Callable[..., Any]] = {
    "unet": smp.Unet,
    "unetplusplus": smp.UnetPlusPlus,
    "manet": smp.MAnet,
    "linknet": smp.Linknet,
    "fpn": smp.FPN,
    "pspnet": smp.PSPNet,
    "pan": smp.PAN,
    "deeplabv3": smp.DeepLabV3,
    "deeplabv3plus": smp.DeepLabV3Plus,
    "upernet": smp.UPerNet,
    "segformer": smp.Segformer,
    "dpt": smp.DPT,
}
_WHOLE_NUMBERS = {
    "encoder_depth": (3, 5),
    "encoder_output_stride": (8, 32),
    "decoder_pab_channels": (1, 1024),
    "decoder_pyramid_channels": (1, 4096),
    "decoder_segmentation_channels": (1, 4096),
    "decoder_fusion_channels": (1, 4096),
    "psp_out_channels": (1, 4096),
}
_FRACTIONS = ("decoder_aspp_dropout", "decoder_dropout", "psp_dropout")
_LISTS = ("decoder_channels", "decoder_atrous_rates", "decoder_intermediate_channels")
_WORDS = ("decoder_attention_type", "decoder_merge_policy", "decoder_interpolation", "decoder_readout")
_PASSED_ON = (*_WHOLE_NUMBERS, *_FRACTIONS, *_LISTS, *_WORDS)
_KNOWN_TO_WORK = {"dpt": "plain vision transformers of timm such as tu-vit_tiny_patch16_224 work"}
_MULTIPLE = 32
_SIZES = (64, 128, 256)


class _PooledNorm(nn.BatchNorm2d):
    """Batch normalisation that uses its running statistics where a batch holds one value per channel."""

    def forward(self, values: Tensor) -> Tensor:
        if self.training and values.numel() == values.shape[1]:
            return functional.batch_norm(
                values, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        return super().forward(values)


class Segmenter(nn.Module):
    """Encoder and decoder that take frames of any size: pads to what they need and crops back.

    Parameters
    ----------
    body : torch.nn.Module
        Network of segmentation_models_pytorch with a `segmentation_head`.
    adapter : torch.nn.Module, optional
        1x1 convolution before pretrained encoders that insist on three channels.
    dropout : float
        Probability with which whole feature maps are dropped before the last convolution.
    smallest_px : int
        Edge of the smallest frame that the network works on.
    """

    build_parameters: dict[str, Any]

    def __init__(
        self, body: Any, adapter: nn.Module | None = None, dropout: float = 0.0, smallest_px: int = _SIZES[0]
    ) -> None:
        super().__init__()
        self.smallest_px = smallest_px
        self.adapter = nn.Identity() if adapter is None else adapter
        self.body = body
        if dropout:
            body.segmentation_head = nn.Sequential(nn.Dropout2d(dropout), body.segmentation_head)

    def forward(self, stack: Tensor) -> Tensor:
        """Logits (B, K, Y, X) of stacks (B, C, Y, X)."""
        height, width = stack.shape[-2:]
        top, bottom = _padding(height, self.smallest_px)
        left, right = _padding(width, self.smallest_px)
        padded = functional.pad(stack, (left, right, top, bottom), mode="replicate")
        logits: Tensor = self.body(self.adapter(padded))
        return logits[..., top : top + height, left : left + width]


def _padding(length: int, smallest: int) -> tuple[int, int]:
    target = max(smallest, -(-length // _MULTIPLE) * _MULTIPLE)
    return (target - length) // 2, target - length - (target - length) // 2


def encoder_names() -> tuple[str, ...]:
    """Names that `encoder` may take: those of segmentation_models_pytorch and "tu-" + those of timm."""
    import timm

    return (*smp.encoders.get_encoder_names(), *(f"tu-{name}" for name in timm.list_models()))


def build_segmenter(
    name: str,
    *,
    in_channels: int,
    n_classes: int,
    encoder: str = DEFAULT_ENCODER,
    encoder_weights: str = "none",
    dropout: float = 0.0,
    adapter: bool = False,
    **parameters: Any,
) -> Segmenter:
    """Build a segmentation network; nothing is downloaded unless `encoder_weights` is "imagenet".

    Parameters
    ----------
    name : str
        Key of `SEGMENTERS`.
    in_channels, n_classes : int
        Channels of a stack; classes with sound.
    encoder : str
        Encoder of segmentation_models_pytorch, or "tu-" and a name of timm.
    encoder_weights : str
        "none" (fresh weights), "imagenet" (fetched once, then cached), or a local .safetensors or .pth file.
    dropout : float
        Spatial dropout before the last convolution, 0 to below 1.
    adapter : bool
        Put a 1 x 1 convolution to three channels before the encoder, as pretrained encoders with several first
        convolutions get it; so that such a network can be built again without its pretrained weights.
    **parameters
        The decoder's own, as far as it has them: encoder_depth, encoder_output_stride, decoder_channels,
        decoder_attention_type, decoder_pab_channels, decoder_atrous_rates, decoder_aspp_dropout,
        decoder_pyramid_channels, decoder_segmentation_channels, decoder_merge_policy, decoder_interpolation,
        decoder_dropout, psp_out_channels, psp_dropout, decoder_intermediate_channels, decoder_fusion_channels,
        decoder_readout. See the decoders of segmentation_models_pytorch.

    Returns
    -------
    Segmenter
        Maps (B, in_channels, Y, X) of any size to logits (B, n_classes, Y, X).

    Raises
    ------
    UnknownNameError, ConfigError
        When a name or parameter is wrong, or decoder and encoder do not go together.
    ModelError
        When the encoder weights cannot be had.
    """
    network = choose(SEGMENTERS, name, "segmentation model")
    check_names(f"segmentation model '{name}'", parameters, _own_parameters(network))
    integer("in_channels", in_channels, 1, 4096)
    integer("n_classes", n_classes, 1, 254)
    dropout = fraction("dropout", dropout)
    check_encoder(encoder)
    arguments = {"encoder_name": encoder, "classes": n_classes, **_checked(parameters)}
    try:
        body, before = _assemble(network, arguments, in_channels, encoder_weights, adapter=bool(adapter))
        smallest = _smallest_px(body, 3 if before is not None else in_channels)
    except ModelError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(
            f"segmentation model '{name}' cannot be built with encoder '{encoder}': {reason[:200]}; take another "
            f"encoder ({_KNOWN_TO_WORK.get(name, 'the resnet family works')}) or correct the parameters"
        ) from error
    for module in body.decoder.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = _PooledNorm
    built = Segmenter(body, before, dropout, smallest)
    own = {} if before is None else {"adapter": True}
    built.build_parameters = {"encoder": encoder, "dropout": dropout, **own, **parameters}
    return built


def _own_parameters(network: Callable[..., Any]) -> list[str]:
    own = inspect.signature(network).parameters
    return [name for name in _PASSED_ON if name in own]


def _checked(parameters: dict[str, Any]) -> dict[str, Any]:
    for name, (low, high) in _WHOLE_NUMBERS.items():
        if name in parameters:
            integer(name, parameters[name], low, high)
    for name in _FRACTIONS:
        if name in parameters:
            fraction(name, parameters[name])
    for name in _LISTS:
        values = parameters.get(name, ())
        for value in values if isinstance(values, list | tuple) else (values,):
            integer(name, value, 1, 4096)
    return parameters


def check_encoder(encoder: Any) -> None:
    """Refuse an encoder that neither segmentation_models_pytorch nor timm has, with `UnknownNameError`."""
    known = smp.encoders.get_encoder_names()
    if encoder not in known and (not isinstance(encoder, str) or encoder not in encoder_names()):
        guess = suggestion(str(encoder), encoder_names() if str(encoder).startswith("tu-") else known)
        hint = guess if len(guess) < 120 else "; for example resnet18, vgg16_bn, inceptionv4, efficientnet-b0"
        raise UnknownNameError(f"unknown encoder '{encoder}'{hint}")


def _assemble(
    network: Callable[..., Any], arguments: dict[str, Any], in_channels: int, weights: str, *, adapter: bool
) -> tuple[Any, nn.Module | None]:
    """Network and, where pretrained weights insist on three channels, the convolution before it."""
    encoder = arguments["encoder_name"]
    if network is smp.DPT:
        arguments = {**arguments, "dynamic_img_size": True}
    state = None if weights == "none" else read_encoder_weights(encoder, weights)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if state is None and adapter and in_channels != 3:
            return network(in_channels=3, encoder_weights=None, **arguments), nn.Conv2d(in_channels, 3, kernel_size=1)
        if state is None:
            return network(in_channels=in_channels, encoder_weights=None, **arguments), None
        body = network(in_channels=3, encoder_weights=None, **arguments)
    fill_encoder(body.encoder, state, encoder, weights)
    return body, None if in_channels == 3 else _widened(body.encoder, in_channels)


def _smallest_px(body: Any, in_channels: int) -> int:
    """Edge of the smallest frame for which the network gives a result of the frame's size.

    Many combinations can be built and fail only when they are used; one look at a small frame tells.

    Raises
    ------
    Exception
        What the network says of the largest frame tried.
    """
    training = body.training
    try:
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            body.eval()
            for size in _SIZES:
                try:
                    found = body(torch.zeros(1, in_channels, size, size)).shape[-2:]
                    if tuple(found) != (size, size):
                        raise ConfigError(f"it makes {found[0]} x {found[1]} px of {size} x {size} px")
                    return size
                except Exception:
                    if size == _SIZES[-1]:
                        raise
    finally:
        body.train(training)
    raise AssertionError("unreachable")


def _widened(encoder: nn.Module, in_channels: int) -> nn.Module | None:
    """Repeat the pretrained kernels of the first convolution over `in_channels`.

    Encoders with several first convolutions keep their three channels; the 1x1 convolution to put before is returned.
    """
    layers = [m for m in encoder.modules() if isinstance(m, nn.Conv2d) and m.in_channels == 3 and m.groups == 1]
    if len(layers) != 1:
        return nn.Conv2d(in_channels, 3, kernel_size=1)
    first = layers[0]
    repeats = -(-in_channels // 3)
    kernel = first.weight.detach().repeat(1, repeats, 1, 1)[:, :in_channels] * (3.0 / in_channels)
    first.weight = nn.Parameter(kernel)
    first.in_channels = in_channels
    return None


def parameter_count(network: nn.Module) -> int:
    """Count the trainable parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
