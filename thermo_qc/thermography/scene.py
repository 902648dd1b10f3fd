"""What classical maps know of a recording beside its curves, and what a map is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import MissingFactError, SequenceError
from thermo_qc.sequence import Excitation, Material

__all__ = ["Gram", "GramMethod", "Layer", "MapImage", "PixelMethod", "Scene", "plain_number"]

Scale = Literal["sequential", "diverging", "cyclic"]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """What one map shows.

    Parameters
    ----------
    name : str
        Name of its files and data sets: lower-case letters, digits, ``_``, ``-`` and ``.`` only.
    unit : str
        "K", "counts", "1", "rad", "s", "mm", "dB", ... ("1" for pure numbers).
    title : str
        For people.
    scale : {"sequential", "diverging", "cyclic"}
        How it is coloured: diverging about zero, cyclic from -pi to pi.
    metadata : mapping
        JSON types: the settings that made it, the time it counts from, its limits of validity.
    """

    name: str
    unit: str
    title: str
    scale: Scale = "sequential"
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class MapImage:
    """One map: a layer and its values, float32 (Y, X), NaN where there is none."""

    layer: Layer
    values: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """What is known of a recording when its maps are computed.

    Parameters
    ----------
    times_s : ndarray of float64, shape (T,)
        Seconds from the start of the excitation.
    unit : str
        Unit of the rise: "K" or "counts".
    excitation : Excitation
        How the plate was heated.
    material : Material, optional
        Constants of the plate.
    thickness_mm, pixel_pitch_mm : float, optional
        Of the plate and of a pixel on it.
    noise : float, optional
        Standard deviation of the camera's temporal noise, in the unit of the rise.
    sound : ndarray of float64, shape (T,), optional
        Rise of the sound plate, where a sound region or a robust reference is known.
    shape : tuple of int
        (Y, X).
    """

    times_s: NDArray[np.float64]
    unit: str
    excitation: Excitation
    shape: tuple[int, int]
    material: Material | None = None
    thickness_mm: float | None = None
    pixel_pitch_mm: float | None = None
    noise: float | None = None
    sound: NDArray[np.float64] | None = None

    def cooling(
        self, t_start_s: float | None = None, t_end_s: float | None = None
    ) -> tuple[slice, NDArray[np.float64], float]:
        """Give the frames after the heating and their times on the clock that cooling laws use.

        Parameters
        ----------
        t_start_s, t_end_s : float, optional
            A part of the cooling, on that clock; all of it when None.

        Returns
        -------
        part : slice
            Frames of the cooling.
        times_s : ndarray of float64
            Their times after `zero_s`; all positive.
        zero_s : float
            That clock's zero on the recording's axis: the middle of a flash (its start where its length is not known),
            else the heating stop.

        Raises
        ------
        MissingFactError
            When the end of the heating is not known.
        SequenceError
            When fewer than two frames follow it.
        """
        stop = self.excitation.stop_s
        if stop is None and self.excitation.kind == "flash":
            stop = self.excitation.start_s  # a flash whose length nobody states is over at once
        if stop is None:
            raise MissingFactError("the maps of the cooling need the heating stop; give heating_stop_s")
        zero = (self.excitation.start_s + stop) / 2 if self.excitation.kind == "flash" else stop
        after = np.flatnonzero(self.times_s > max(stop, zero))
        if after.size < 2:
            raise SequenceError(
                f"{after.size} frames follow the heating stop at {stop:g} s, expected at least 2; the recording ends "
                f"at {self.times_s[-1]:g} s"
            )
        times = self.times_s - zero
        low = times[after[0]] if t_start_s is None else max(t_start_s, times[after[0]])
        kept = np.flatnonzero((times >= low) & (times <= (np.inf if t_end_s is None else t_end_s)))
        if kept.size < 2:
            raise SequenceError(
                f"{kept.size} frames lie between {low:g} s and {t_end_s} s after the heating, expected at least 2; the "
                f"cooling is recorded from {times[after[0]]:.4g} s to {times[-1]:.4g} s"
            )
        part = slice(int(kept[0]), int(kept[-1]) + 1)
        return part, times[part], zero

    def heating(self) -> tuple[slice, NDArray[np.float64]]:
        """Give the frames during the heating and their times after its start, positive.

        Raises
        ------
        SequenceError
            When fewer than two frames lie within the heating.
        """
        start, stop = self.excitation.start_s, self.excitation.stop_s
        inside = np.flatnonzero((self.times_s > start) & (self.times_s <= (np.inf if stop is None else stop)))
        if inside.size < 2:
            raise SequenceError(
                f"{inside.size} frames lie within the heating, expected at least 2; methods of the heating need a step "
                "or a long pulse"
            )
        part = slice(int(inside[0]), int(inside[-1]) + 1)
        return part, self.times_s[part] - start

    def reference(self) -> NDArray[np.float64]:
        """Give the rise of the sound plate, float64 (T,).

        Raises
        ------
        MissingFactError
            When none is known.
        """
        if self.sound is None:
            raise MissingFactError("this map compares with sound material; give a sound region (--sound)")
        return self.sound


class PixelMethod(Protocol):
    """A method whose maps need one pixel's curve at a time: a frozen dataclass of its options."""

    def layers(self, scene: Scene) -> tuple[Layer, ...]:
        """Name the maps; refuses a scene that the method cannot work on."""
        ...

    def compute(self, rise: NDArray[np.float32], scene: Scene) -> NDArray[np.floating]:
        """Compute the maps of a block of pixels: rise above the cold frame (T, n) of all frames -> (n_layers, n).

        The block is a transposed view (each pixel's curve is contiguous) and must not be written to; several threads
        call at once. Curves may hold NaN (pixels without a value): their results are NaN.
        """
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Gram:
    """The standardised data A (t, n) of a decomposition through its small Gram matrix.

    Parameters
    ----------
    matrix : ndarray of float64, shape (t, t)
        A A^T.
    n_pixels : int
        Pixels that took part.
    times_s : ndarray of float64, shape (t,)
        Times of the rows of A, seconds from the start of the excitation; long recordings are averaged in equal groups
        of neighbouring frames before, and these are the groups' mean times.
    """

    matrix: NDArray[np.float64]
    n_pixels: int
    times_s: NDArray[np.float64]


class GramMethod(Protocol):
    """A method that needs all pixels together, but only through the Gram matrix over time: a frozen dataclass.

    The engine reads the recording once for the Gram matrix and once for the images.
    """

    @property
    def standardise(self) -> str:
        """One of `thermo_qc.thermography.pct.STANDARDISATIONS`."""
        ...

    @property
    def max_frames(self) -> int:
        """Longer windows are averaged in equal groups of neighbouring frames."""
        ...

    def window(self, scene: Scene) -> slice:
        """Frames that take part."""
        ...

    def time_functions(self, gram: Gram, scene: Scene) -> NDArray[np.float64]:
        """Functions of time F (t, k): the engine computes the images F^T A (k, n)."""
        ...

    def layers(self, gram: Gram, scene: Scene) -> tuple[Layer, ...]:
        """Name the maps."""
        ...

    def finish(self, images: NDArray[np.float64], gram: Gram, scene: Scene) -> NDArray[np.floating]:
        """Make the maps (n_layers, n) of the used pixels from the images (k, n)."""
        ...


def plain_number(number: float) -> str:
    """Four significant digits without an exponent, for names of layers."""
    return np.format_float_positional(float(f"{number:.4g}"), trim="-")
