"""The maps of pulse compression."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError, MissingFactError, SequenceError
from thermo_qc.thermography.pulse_compression import (
    BARKER_CODES,
    barker_signal,
    chirp_signal,
    compression_matrices,
    parabola_peak,
)
from thermo_qc.thermography.scene import Layer, Scene

__all__ = ["PulseCompressionMaps"]


@dataclass(frozen=True, kw_only=True)
class PulseCompressionMaps:
    """Options of pulse compression: correlation of every pixel's curve with the coded excitation.

    Parameters
    ----------
    code : {"periodic", "chirp", "barker", "samples"}
        How the plate was heated from the start of the excitation on.
    f_start_hz, f_end_hz, duration_s : float, optional
        Of a chirp; the frequency of a periodic excitation is `f_start_hz`, or that of the recording.
    bits : int
        Length of a Barker code: 2, 3, 4, 5, 7, 11 or 13.
    bit_s : float, optional
        Duration of a bit.
    samples : tuple of float
        Heating power at evenly spaced times, `sample_rate_hz` apart, for any other code.
    sample_rate_hz : float, optional
        Of `samples`.
    trend_order : int
        Order in the square root of time of the slow rise that is removed; -1 for none.
    max_lag_s : float, optional
        Largest delay; a quarter of the recording when None, of a periodic excitation nearly its period.
    """

    code: Literal["periodic", "chirp", "barker", "samples"] = "periodic"
    f_start_hz: float | None = None
    f_end_hz: float | None = None
    duration_s: float | None = None
    bits: int = 13
    bit_s: float | None = None
    samples: tuple[float, ...] = ()
    sample_rate_hz: float | None = None
    trend_order: int = 2
    max_lag_s: float | None = None

    def __post_init__(self) -> None:
        if not -1 <= self.trend_order <= 8:
            raise ConfigError(f"pulse_compression.trend_order is {self.trend_order}, expected -1 (none) to 8")
        if self.bits not in BARKER_CODES:
            raise ConfigError(
                f"pulse_compression.bits is {self.bits}, expected one of {', '.join(map(str, BARKER_CODES))}"
            )
        for name in ("f_start_hz", "f_end_hz", "duration_s", "bit_s", "sample_rate_hz", "max_lag_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"pulse_compression.{name} is {value}, expected a positive number")

    def layers(self, scene: Scene) -> tuple[Layer, ...]:
        """Name the maps."""
        part, times = self._window(scene)
        lags, _, _ = self._matrices(scene, times)
        common: dict[str, Any] = {
            "method": "pulse compression",
            "code": self.code,
            "trend_order": self.trend_order,
            "n_frames": part.stop - part.start,
            "max_lag_s": float(lags[-1]),
            "limits": "the excitation must be what the code says, from the start of the excitation on; delays compare "
            "pixels, a plate's own phase lag is part of them",
            "reference": "10.1063/1.3095560",
        }
        return (
            Layer(
                name="pulse_compression_peak",
                unit=scene.unit,
                title="Pulse compression: height of the correlation's peak",
                metadata=common,
            ),
            Layer(name="pulse_compression_delay", unit="s", title="Pulse compression: delay", metadata=common),
            Layer(
                name="pulse_compression_phase",
                unit="rad",
                title="Pulse compression: phase lag of the correlation",
                metadata=common,
            ),
        )

    def compute(self, rise: NDArray[np.float32], scene: Scene) -> NDArray[np.floating]:
        """Compute the maps (n_layers, n) of a block of curves (T, n)."""
        part, times = self._window(scene)
        lags, lagged, turned = self._matrices(scene, times)
        curves = rise[part].T
        peak, delay = parabola_peak((curves @ lagged.T).T.astype(np.float64), float(lags[1] - lags[0]))
        in_phase, quadrature = (curves @ turned.T).T
        return np.stack([peak, delay, np.arctan2(quadrature, in_phase)])

    def _window(self, scene: Scene) -> tuple[slice, NDArray[np.float64]]:
        start = scene.excitation.start_s
        inside = np.flatnonzero(scene.times_s >= start)
        if inside.size < 8:
            raise SequenceError(
                f"{inside.size} frames follow the start of the excitation at {start:g} s, expected at least 8"
            )
        part = slice(int(inside[0]), scene.times_s.size)
        return part, scene.times_s[part] - start

    def _signal(self, scene: Scene, times: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.code == "periodic":
            frequency = self.f_start_hz or scene.excitation.frequency_hz
            if frequency is None:
                raise MissingFactError("a periodic excitation needs its frequency; give frequency_hz")
            return np.asarray((1 - np.cos(2 * np.pi * frequency * times)) / 2)
        if self.code == "chirp":
            if self.f_start_hz is None or self.f_end_hz is None or self.duration_s is None:
                raise ConfigError("a chirp needs f_start_hz, f_end_hz and duration_s; give all three")
            return chirp_signal(times, self.f_start_hz, self.f_end_hz, self.duration_s)
        if self.code == "barker":
            if self.bit_s is None:
                raise ConfigError("a Barker code needs bit_s, the duration of a bit; give it")
            return barker_signal(times, self.bits, self.bit_s)
        if len(self.samples) < 2 or self.sample_rate_hz is None:
            raise ConfigError("code 'samples' needs samples and sample_rate_hz; give both")
        axis = np.arange(len(self.samples)) / self.sample_rate_hz
        return np.asarray(np.interp(times, axis, self.samples, right=0.0))

    def _matrices(
        self, scene: Scene, times: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float32]]:
        longest = self.max_lag_s
        if longest is None and self.code == "periodic":
            frequency = self.f_start_hz or scene.excitation.frequency_hz or 0.0
            longest = 0.9 / frequency if frequency > 0 else None
        return _matrices(times.tobytes(), self._signal(scene, times).tobytes(), self.trend_order, longest)


@lru_cache(maxsize=8)
def _matrices(
    times: bytes, signal: bytes, trend_order: int, max_lag_s: float | None
) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float32]]:
    lags, lagged, turned = compression_matrices(
        np.frombuffer(times), np.frombuffer(signal), trend_order=trend_order, max_lag_s=max_lag_s
    )
    if lags.size < 2:
        raise SequenceError(f"max_lag_s is {max_lag_s}, expected at least the time between two frames")
    return lags, lagged.astype(np.float32), turned.astype(np.float32)
