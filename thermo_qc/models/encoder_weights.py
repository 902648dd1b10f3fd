"""Weights of a pretrained encoder: a local file, or ImageNet's when they are asked for by name."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import segmentation_models_pytorch as smp
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from thermo_qc.errors import ModelError

__all__ = ["DEFAULT_ENCODER", "fill_encoder", "read_encoder_weights"]

log = logging.getLogger(__name__)

SUFFIXES = (".safetensors", ".pth", ".pt")
DEFAULT_ENCODER = "resnet18"
SMALLEST_MATCH = 0.9


def read_encoder_weights(name: str, weights: str) -> dict[str, Tensor]:
    """Read pretrained weights.

    Parameters
    ----------
    name : str
        Name of the encoder.
    weights : str
        "imagenet", or a .safetensors, .pth or .pt file with the encoder's state dictionary.

    Returns
    -------
    dict of str to Tensor

    Raises
    ------
    ModelError
        When the file is missing, broken or hostile, or cannot be fetched.
    """
    return _fetch(name) if weights == "imagenet" else _read(Path(weights))


def fill_encoder(encoder: nn.Module, state: dict[str, Tensor], name: str, weights: str) -> None:
    """Fill a three-channel encoder with pretrained weights.

    Parameters
    ----------
    encoder : torch.nn.Module
        Encoder of segmentation_models_pytorch, changed in place.
    state : dict of str to Tensor
        From `read_encoder_weights`.
    name, weights : str
        As there, for the message.

    Raises
    ------
    ModelError
        When the weights belong to another encoder.
    """
    own = encoder.state_dict()
    given = _aligned(state, own)
    fitting = {key: value for key, value in given.items() if key in own and own[key].shape == value.shape}
    wanted = [key for key in own if not key.endswith("num_batches_tracked")]
    share = sum(key in fitting for key in wanted) / max(1, len(wanted))
    if share < SMALLEST_MATCH:
        raise ModelError(
            f"encoder weights '{weights}': {share:.0%} of the weights of encoder '{name}' are in it, expected all; "
            "take the weights of this very encoder"
        )
    encoder.load_state_dict({**own, **fitting})


def _read(path: Path) -> dict[str, Tensor]:
    """State dictionary in a local file, without executing anything in it."""
    if path.suffix.lower() not in SUFFIXES:
        raise ModelError(
            f"encoder weights '{path}' are neither 'none', 'imagenet' nor a file ending in {', '.join(SUFFIXES)}"
        )
    if not path.is_file():
        raise ModelError(f"encoder weights '{path}' do not exist; check the path")
    try:
        if path.suffix.lower() == ".safetensors":
            return dict(load_file(path, device="cpu"))
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise ModelError(f"encoder weights '{path}' are broken: {_first_line(error)}; fetch the file again") from error
    except Exception as error:  # pickle.UnpicklingError and its relatives: a file that wants to run code
        raise ModelError(
            f"encoder weights '{path}' are refused: {_first_line(error)}; use a file of plain tensors"
        ) from error
    return _tensors(state, path)


def _tensors(state: Any, path: Path) -> dict[str, Tensor]:
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    tensors = (
        {key: value for key, value in state.items() if isinstance(value, Tensor)} if isinstance(state, dict) else {}
    )
    if not tensors:
        raise ModelError(
            f"encoder weights '{path}' hold no state dictionary of tensors; export the encoder's state_dict"
        )
    return tensors


def _aligned(state: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    """Strip or add the prefix under which a file or an encoder keeps its tensors."""
    best, hits = state, sum(key in own for key in state)
    for prefix in ("encoder.", "model.", "module.", "body.encoder.", "network.body.encoder."):
        for candidate in (
            {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)},
            {prefix + key: value for key, value in state.items()},
        ):
            found = sum(key in own for key in candidate)
            if found > hits:
                best, hits = candidate, found
    return best


def _fetch(name: str) -> dict[str, Tensor]:
    """ImageNet weights from the cache of the hub, or over the network."""
    log.info("fetching ImageNet weights of encoder %s (cached afterwards)", name)
    try:
        return _fetch_timm(name) if name.startswith("tu-") else _fetch_smp(name)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"the ImageNet weights of encoder '{name}' could not be fetched ({_first_line(error)}); {_way_out(name)}"
        ) from error


@contextmanager
def _cache_alone_without_network() -> Iterator[None]:
    """Ask the cache alone where the hub has no address, instead of trying for most of a minute."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not _has_address(str(urlsplit(constants.ENDPOINT).hostname))
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _has_address(host: str) -> bool:
    if {"http", "https", "all"} & set(getproxies()):
        return True  # the proxy looks it up
    try:
        return bool(socket.getaddrinfo(host, 443))
    except OSError:
        return False


def _fetch_smp(name: str) -> dict[str, Tensor]:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    settings = _settings(name)
    if settings is None:
        raise ModelError(f"there are no ImageNet weights for encoder '{name}'; give a local file or 'none'")
    if "repo_id" not in settings:
        raise ModelError(f"the ImageNet weights of encoder '{name}' have no known home; give a local file or 'none'")
    fetch = partial(
        hf_hub_download, settings["repo_id"], filename="model.safetensors", revision=settings.get("revision")
    )
    try:
        path = str(fetch(local_files_only=True))
    except LocalEntryNotFoundError:
        with _cache_alone_without_network():
            path = str(fetch())
    return dict(load_file(path, device="cpu"))


def _fetch_timm(name: str) -> dict[str, Tensor]:
    import timm

    with _cache_alone_without_network():
        state: dict[str, Tensor] = timm.create_model(name.removeprefix("tu-"), pretrained=True).state_dict()
    return state


def _settings(name: str) -> dict[str, Any] | None:
    settings = smp.encoders.encoders.get(name, {}).get("pretrained_settings", {}).get("imagenet")
    return None if settings is None else dict(settings)


def _way_out(name: str) -> str:
    settings = None if name.startswith("tu-") else _settings(name)
    home = settings.get("repo_id") if settings else None
    source = f"model.safetensors of huggingface.co/{home}" if home else "the encoder's state dictionary"
    return f"fetch {source} where there is a network and give its path as encoder_weights, or use 'none'"


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]
