"""The maps of principal component thermography."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError, SequenceError
from thermo_qc.thermography.pct import Standardisation
from thermo_qc.thermography.scene import Gram, Layer, Scene

__all__ = ["PCTMaps", "gram_window", "leading_functions"]


@dataclass(frozen=True, kw_only=True)
class PCTMaps:
    """Options of the PCT maps: `compute_pct` of the cooling, through the Gram matrix over time.

    Parameters
    ----------
    n_components : int
        Wanted components.
    standardise : {"pixel", "pixel_mean", "frame", "frame_mean", "none"}
        As for `compute_pct`: "pixel" gives every curve zero mean and unit standard deviation over time.
    window : {"cooling", "all"}
        Frames that take part.
    t_start_s, t_end_s : float, optional
        Part of the cooling, after the flash's middle or the heating stop.
    max_frames : int
        Longer windows are averaged in equal groups of neighbouring frames.
    """

    n_components: int = 6
    standardise: Standardisation = "pixel"
    window_frames: Literal["cooling", "all"] = "cooling"
    t_start_s: float | None = None
    t_end_s: float | None = None
    max_frames: int = 2000

    def __post_init__(self) -> None:
        if self.n_components < 1:
            raise ConfigError(f"pct.n_components is {self.n_components}, expected at least 1")
        if self.max_frames < 2:
            raise ConfigError(f"pct.max_frames is {self.max_frames}, expected at least 2")

    def window(self, scene: Scene) -> slice:
        """Frames that take part."""
        return gram_window(scene, self.window_frames, self.t_start_s, self.t_end_s)

    def time_functions(self, gram: Gram, scene: Scene) -> NDArray[np.float64]:
        """Empirical orthogonal functions (t, n_components)."""
        del scene
        return leading_functions(gram, self.n_components)[0]

    def layers(self, gram: Gram, scene: Scene) -> tuple[Layer, ...]:
        """Name the maps."""
        eofs, values = leading_functions(gram, self.n_components)
        total = float(np.trace(gram.matrix))
        common: dict[str, Any] = {
            "method": "PCT",
            "standardise": self.standardise,
            "window": self.window_frames,
            "times_s": gram.times_s.tolist(),
            "n_pixels": gram.n_pixels,
            "limits": "an order by variance, not by depth; the sign makes the largest entry of the EOF positive",
            "reference": "10.1016/S0263-8223(02)00161-7",
        }
        unit = "1" if self.standardise in ("pixel", "frame") else scene.unit
        return tuple(
            Layer(
                name=f"pct_{number + 1}",
                unit=unit,
                title=f"PCT component {number + 1} ({100 * values[number] / total if total > 0 else 0.0:.3g} %)",
                metadata={
                    **common,
                    "eof": eofs[:, number].tolist(),
                    "explained": float(values[number] / total) if total > 0 else 0.0,
                    "singular_value": float(np.sqrt(values[number])),
                },
            )
            for number in range(self.n_components)
        )

    def finish(self, images: NDArray[np.float64], gram: Gram, scene: Scene) -> NDArray[np.floating]:
        """Component images are the maps."""
        del gram, scene
        return images


def gram_window(scene: Scene, window: str, t_start_s: float | None, t_end_s: float | None) -> slice:
    """Frames of a decomposition: the cooling or a part of it, or all."""
    return slice(0, scene.times_s.size) if window == "all" else scene.cooling(t_start_s, t_end_s)[0]


@lru_cache(maxsize=4)
def leading_functions(gram: Gram, n_components: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Leading eigenvectors (t, n) of a Gram matrix, largest first, and their eigenvalues (n,).

    The sign makes the largest entry of each vector positive.

    Raises
    ------
    SequenceError
        When there are fewer frames or pixels than components.
    """
    n_frames = gram.matrix.shape[0]
    most = min(n_frames, gram.n_pixels)
    if not 1 <= n_components <= most:
        raise SequenceError(
            f"{n_components} components are wanted of {n_frames} frames with {gram.n_pixels} usable pixels, expected "
            f"1 to {most}"
        )
    values, vectors = scipy.linalg.eigh(gram.matrix, subset_by_index=[n_frames - n_components, n_frames - 1])
    values, eofs = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    eofs = eofs * np.where(eofs[np.abs(eofs).argmax(axis=0), np.arange(n_components)] < 0, -1.0, 1.0)
    return np.asarray(eofs), np.asarray(values)
