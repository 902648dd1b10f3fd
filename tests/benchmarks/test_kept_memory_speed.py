"""What it is worth that freed memory stays with the process: steps of training and predictions, with and without.

Run with ``python -m pytest -m benchmark -n 0 -s tests/benchmarks/test_kept_memory_speed.py``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext

import pytest
import torch

from thermo_qc.models import build_segmenter
from thermo_qc.models.hybrid import CurveUNet
from thermo_qc.models.memory import _glibc, kept_memory
from thermo_qc.models.pixelwise import PixelCurves

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1800)]
CHANNELS, STEPS = 135, 5
NETWORKS: dict[str, tuple[Callable[[], torch.nn.Module], tuple[int, ...], tuple[int, ...]]] = {
    "LSTM on pixels": (
        lambda: PixelCurves(CHANNELS, 4, core="lstm", core_parameters={"hidden": 40}),
        (2, 32),
        (1, 128),
    ),
    "1D-CNN on pixels": (lambda: PixelCurves(CHANNELS, 4, core="cnn1d"), (2, 32), (1, 128)),
    "curves, then U-Net": (lambda: CurveUNet(CHANNELS, 4, curve_widths=[128, 64]), (3, 96), (1, 512)),
    "U-Net, ResNet-18": (lambda: build_segmenter("unet", in_channels=CHANNELS, n_classes=4), (3, 96), (1, 512)),
}


def seconds(act: Callable[[], None], *, kept: bool) -> float:
    with kept_memory() if kept else nullcontext():
        act()
        start = time.process_time()
        for _ in range(STEPS):
            act()
        return (time.process_time() - start) / STEPS


@pytest.mark.parametrize("name", NETWORKS)
def test_steps_with_and_without(name: str) -> None:
    if _glibc() is None:
        pytest.skip("needs glibc")
    torch.set_num_threads(1)
    make, (batch, edge), (one, large) = NETWORKS[name]
    network = make()
    optimiser = torch.optim.AdamW(network.parameters())
    images, whole = torch.randn(batch, CHANNELS, edge, edge), torch.randn(one, CHANNELS, large, large)

    def learn() -> None:
        loss = network(images).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    def look() -> None:
        with torch.inference_mode():
            network.eval()(whole)

    ratios = {}
    for what, act in (("training step", learn), ("prediction", look)):
        plain, kept = (seconds(act, kept=kept) for kept in (False, True))
        ratios[what] = plain / kept
        print(
            f"\n{name}, {what}: {plain:.3f} s of CPU, with memory kept {kept:.3f} s, ratio {plain / kept:.2f}", end=""
        )
    assert min(ratios.values()) > 0.5
