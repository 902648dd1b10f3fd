"""The maps of independent, sparse and partial-least-squares components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError
from thermo_qc.thermography.decompositions import (
    independent_images,
    partial_least_squares_functions,
    sparse_images,
)
from thermo_qc.thermography.pct import Standardisation
from thermo_qc.thermography.pct_maps import gram_window, leading_functions
from thermo_qc.thermography.scene import Gram, Layer, Scene

__all__ = ["ICAMaps", "PLSTMaps", "SPCTMaps"]

Window = Literal["cooling", "all"]


@dataclass(frozen=True, kw_only=True)
class _Components:
    """What the three have in common: how many, of which frames, how standardised.

    Parameters
    ----------
    n_components : int
        Wanted components.
    standardise : {"pixel", "pixel_mean", "frame", "frame_mean", "none"}
        As for `compute_pct`.
    window_frames : {"cooling", "all"}
        Frames that take part.
    t_start_s, t_end_s : float, optional
        Part of the cooling, after the flash's middle or the heating stop.
    max_frames : int
        Longer windows are averaged in equal groups of neighbouring frames.
    """

    n_components: int = 4
    standardise: Standardisation = "pixel"
    window_frames: Window = "cooling"
    t_start_s: float | None = None
    t_end_s: float | None = None
    max_frames: int = 2000

    def __post_init__(self) -> None:
        if self.n_components < 1:
            raise ConfigError(f"n_components is {self.n_components}, expected at least 1")
        if self.max_frames < 2:
            raise ConfigError(f"max_frames is {self.max_frames}, expected at least 2")

    def window(self, scene: Scene) -> slice:
        """Frames that take part."""
        return gram_window(scene, self.window_frames, self.t_start_s, self.t_end_s)

    def _common(self, gram: Gram, method: str, reference: str, limits: str) -> dict[str, Any]:
        return {
            "method": method,
            "standardise": self.standardise,
            "window": self.window_frames,
            "n_frames": gram.matrix.shape[0],
            "n_pixels": gram.n_pixels,
            "limits": limits,
            "reference": reference,
        }


@dataclass(frozen=True, kw_only=True)
class ICAMaps(_Components):
    """Options of independent component thermography: `independent_images` of the leading PCT images.

    Parameters
    ----------
    n_principal : int, optional
        Principal components that are kept before; `n_components` when None.
    seed : int
        Of the iteration.
    """

    n_principal: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_principal is not None and self.n_principal < self.n_components:
            raise ConfigError(f"ica.n_principal is {self.n_principal}, expected at least {self.n_components}")

    def time_functions(self, gram: Gram, scene: Scene) -> NDArray[np.float64]:
        """Leading empirical orthogonal functions (t, n_principal)."""
        del scene
        return leading_functions(gram, self.n_principal or self.n_components)[0]

    def layers(self, gram: Gram, scene: Scene) -> tuple[Layer, ...]:
        """Name the maps."""
        del scene
        common = self._common(
            gram,
            "independent component thermography (spatial FastICA)",
            "10.1016/S0893-6080(00)00026-5",
            "in the order of falling excess kurtosis; unit variance over the pixels; signed for a positive skewness",
        )
        return tuple(
            Layer(
                name=f"ica_{number}", unit="1", title=f"ICA component {number}", metadata={**common, "seed": self.seed}
            )
            for number in range(1, self.n_components + 1)
        )

    def finish(self, images: NDArray[np.float64], gram: Gram, scene: Scene) -> NDArray[np.floating]:
        """Rotate the principal component images."""
        del gram, scene
        centred = images - images.mean(axis=1, keepdims=True)
        return independent_images(centred, self.n_components, seed=self.seed)


@dataclass(frozen=True, kw_only=True)
class SPCTMaps(_Components):
    """Options of sparse principal component thermography: `sparse_images` of the leading directions.

    Parameters
    ----------
    penalty : float
        Threshold as a share of each component's largest loading, 0 to below 1.
    n_principal : int
        Principal components that the alternation works in.
    """

    penalty: float = 0.2
    n_principal: int = 12

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.penalty < 1:
            raise ConfigError(f"spct.penalty is {self.penalty}, expected 0 to below 1")
        if self.n_principal < self.n_components:
            raise ConfigError(f"spct.n_principal is {self.n_principal}, expected at least {self.n_components}")

    def time_functions(self, gram: Gram, scene: Scene) -> NDArray[np.float64]:
        """Leading empirical orthogonal functions (t, n_principal)."""
        del scene
        return leading_functions(gram, min(self.n_principal, gram.matrix.shape[0], gram.n_pixels))[0]

    def layers(self, gram: Gram, scene: Scene) -> tuple[Layer, ...]:
        """Name the maps."""
        del scene
        common = self._common(
            gram,
            "sparse principal component thermography",
            "10.1198/106186006X113430",
            "loadings of unit length, exactly 0 below the threshold; the sign makes the largest loading positive",
        )
        return tuple(
            Layer(
                name=f"spct_{number}",
                unit="1",
                title=f"Sparse PCT component {number}",
                scale="diverging",
                metadata={**common, "penalty": self.penalty, "n_principal": self.n_principal},
            )
            for number in range(1, self.n_components + 1)
        )

    def finish(self, images: NDArray[np.float64], gram: Gram, scene: Scene) -> NDArray[np.floating]:
        """Alternate to sparse loadings."""
        del scene
        values = leading_functions(gram, images.shape[0])[1]
        return sparse_images(images, np.sqrt(values), self.n_components, self.penalty)


@dataclass(frozen=True, kw_only=True)
class PLSTMaps(_Components):
    """Options of partial least squares thermography: pixels that explain the time, component by component.

    Parameters
    ----------
    target : {"time", "log_time"}
        What the scores explain: the time after the first frame of the window, or its logarithm.
    """

    target: Literal["time", "log_time"] = "time"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.standardise not in ("pixel", "pixel_mean"):
            raise ConfigError(f"plst.standardise is '{self.standardise}', expected pixel or pixel_mean")

    def time_functions(self, gram: Gram, scene: Scene) -> NDArray[np.float64]:
        """Scores (t, n_components)."""
        del scene
        times = gram.times_s
        if self.target == "log_time":
            times = np.log(times - times[0] + (times[1] - times[0]))
        return partial_least_squares_functions(gram.matrix, times, self.n_components)

    def layers(self, gram: Gram, scene: Scene) -> tuple[Layer, ...]:
        """Name the maps."""
        common = self._common(
            gram,
            "partial least squares thermography",
            "Lopez et al., NDT&E Int. 66 (2014) 128",
            "loadings on scores that explain the time; the order is that of explanation, not of depth",
        )
        scores = self.time_functions(gram, scene)
        return tuple(
            Layer(
                name=f"plst_{number + 1}",
                unit="1" if self.standardise == "pixel" else scene.unit,
                title=f"PLST component {number + 1}",
                metadata={
                    **common,
                    "target": self.target,
                    "score": scores[:, number].tolist(),
                    "times_s": gram.times_s.tolist(),
                },
            )
            for number in range(self.n_components)
        )

    def finish(self, images: NDArray[np.float64], gram: Gram, scene: Scene) -> NDArray[np.floating]:
        """Images of the scores are the maps."""
        del gram, scene
        return images
