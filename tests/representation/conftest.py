"""Small recordings with a known answer: a half-space heated by a long pulse, with one defect."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from thermo_qc.sequence import Excitation, ThermalSequence

STOP_S = 60.0


def make_recording(
    *,
    shape: tuple[int, int] = (24, 30),
    frame_rate_hz: float = 0.5,
    end_s: float = 300.0,
    cold_s: float = 10.0,
    power: float = 1.0,
    lamp: float = 0.0,
    noise_k: float = 0.0,
    defect_k: float = 0.5,
    stop_s: float | None = STOP_S,
    ambient: float = 22.0,
    seed: int = 0,
    **facts: object,
) -> ThermalSequence:
    """Rise (sqrt(t) - sqrt(t - 60 s)) times the lamp's pattern, and one disc whose contrast peaks at 120 s."""
    times = np.arange(-cold_s, end_s + 1e-9, 1.0 / frame_rate_hz)
    late = np.maximum(times - STOP_S, 0.0)
    heat = np.sqrt(np.maximum(times, 0.0)) - np.sqrt(late)
    y, x = np.mgrid[: shape[0], : shape[1]]
    pattern = power * (1.0 - lamp * (x / shape[1] - 0.5) - 0.5 * lamp * (y / shape[0] - 0.5) ** 2)
    disc = (x - shape[1] / 3) ** 2 + (y - shape[0] / 2) ** 2 <= 9
    contrast = defect_k * np.exp(-(((late - STOP_S) / 50.0) ** 2)) * (times > STOP_S)
    rise = pattern * (3.0 * heat[:, None, None] + contrast[:, None, None] * disc)
    frames = ambient + rise + np.random.default_rng(seed).normal(0.0, 1.0, rise.shape) * noise_k
    defaults: dict[str, object] = {"unit": "degC", "excitation": Excitation(kind="long_pulse", stop_s=stop_s)}
    return ThermalSequence(frames=frames.astype(np.float32), times_s=times, **{**defaults, **facts})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def recording() -> Callable[..., ThermalSequence]:
    return make_recording


@pytest.fixture(scope="session")
def disc() -> np.ndarray:
    y, x = np.mgrid[:24, :30]
    return (x - 10) ** 2 + (y - 12) ** 2 <= 9
