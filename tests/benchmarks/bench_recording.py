"""A large recording for benchmarks: a flash on a plate with twenty defects, uint16 counts, made frame by frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from thermo_qc.io import write_sequence
from thermo_qc.sequence import Excitation, ThermalSequence

N_COLD = 20
FRAME_RATE_HZ = 10.0
NOISE_COUNTS = 5.0
DIFFUSIVITY_MM2_S = 0.4


class GeneratedFrames:
    """Frames computed when they are asked for; noise repeats every 64 frames from another place."""

    def __init__(self, shape: tuple[int, int, int], seed: int = 0) -> None:
        self.shape = shape
        self.dtype = np.dtype(np.uint16)
        n_frames, height, width = shape
        rng = np.random.default_rng(seed)
        row, column = np.mgrid[:height, :width]
        centre = (height / 2, width / 2)
        self._power = 1 + 0.3 * np.exp(-((column - centre[1]) ** 2 + (row - centre[0]) ** 2) / (0.4 * width) ** 2)
        self._pattern = rng.normal(20000, 50, (height, width))
        depth = np.full((height, width), 8.0)
        for i, depth_mm in enumerate((1.0, 2.0, 3.0, 4.0)):
            for j, radius in enumerate((0.019, 0.023, 0.028, 0.033, 0.0375)):
                inside = (
                    np.hypot(column - (0.125 + 0.1875 * j) * width, row - (0.14 + 0.235 * i) * height) < radius * width
                )
                depth[inside] = depth_mm
        depths, self._which = np.unique(depth, return_inverse=True)
        self._which = self._which.reshape(height, width)
        self.times_s = (np.arange(n_frames) - N_COLD + 0.5) / FRAME_RATE_HZ
        self._curves = np.stack([self._curve(depth_mm) for depth_mm in depths])
        self._noise = rng.normal(0, NOISE_COUNTS, (64, height + 64, width + 64)).astype(np.float32)

    def _curve(self, depth_mm: float) -> Any:
        after = np.maximum(self.times_s, 1e-3)
        n = np.arange(1, 60)[:, None]
        series = 1 + 2 * np.exp(-(n**2) * depth_mm**2 / (DIFFUSIVITY_MM2_S * after)).sum(axis=0)
        return np.where(self.times_s > 0, 3000 * series / np.sqrt(np.pi * after), 0.0)

    def __getitem__(self, key: Any) -> Any:
        time, rows, columns = key
        frames = []
        for k in np.arange(self.shape[0])[time]:
            shift_y, shift_x = (k // 64 * 17) % 64, (k // 64 * 29) % 64
            noise = self._noise[k % 64, shift_y : shift_y + self.shape[1], shift_x : shift_x + self.shape[2]]
            frame = self._pattern + self._power * self._curves[self._which, k] + noise
            frames.append(np.clip(frame, 0, 65535).round().astype(np.uint16)[rows, columns])
        return np.stack(frames)


def make_recording(path: Path, shape: tuple[int, int, int]) -> Path:
    """Write the recording in the native format, once."""
    if not path.exists():
        frames = GeneratedFrames(shape)
        write_sequence(
            ThermalSequence(
                frames=frames,
                times_s=frames.times_s,
                unit="counts",
                excitation=Excitation(kind="flash", start_s=0.0, stop_s=0.002),
            ),
            path,
        )
    return path
