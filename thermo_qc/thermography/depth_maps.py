"""The maps of depth: four estimates from the time or frequency at which a defect shows."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError, MissingFactError, SequenceError, ThermoQCError
from thermo_qc.thermography.blind_frequency import (
    CLOSED_FORM_FACTOR,
    blind_frequency,
    phase_noise_rad,
    spectrum_matrix,
)
from thermo_qc.thermography.contrast_peak import find_contrast_peak
from thermo_qc.thermography.depth_calibration import depth_scale_mm
from thermo_qc.thermography.scene import Layer, Scene
from thermo_qc.thermography.tsr import check_tsr, fit_block
from thermo_qc.thermography.tsr_depth import dense_part, second_derivative_noise, second_derivative_peak
from thermo_qc.thermography.warn_once import warn_once

__all__ = ["PEAK_SLOPE_FACTOR", "SECOND_DERIVATIVE_FACTOR", "DepthEstimate", "DepthMaps"]

logger = logging.getLogger(__name__)
DepthEstimate = Literal["second_derivative", "contrast_peak", "peak_slope", "blind_frequency"]
SECOND_DERIVATIVE_FACTOR = float(np.sqrt(np.pi))
PEAK_SLOPE_FACTOR = float(np.pi / np.sqrt(3.64))
_WIDE = "defect much wider than deep, insulating; sideways flow makes small ones look shallower; diffusivity known"
_TITLES = {
    "second_derivative": "peak of the second log derivative",
    "contrast_peak": "largest contrast",
    "peak_slope": "steepest rise of the contrast",
    "blind_frequency": "blind frequency of the phase",
}
_LIMITS = {
    "second_derivative": f"L = factor sqrt(alpha t2), factor sqrt(pi) after a flash; {_WIDE}; no sound reference; a "
    "sound pixel reads the plate's own thickness where the recording is long enough",
    "contrast_peak": "L = factor sqrt(alpha tc); the factor is no constant of nature (without sideways flow and losses "
    "there is no maximum): it grows from about 1 with depth over width and must be calibrated; needs a sound reference",
    "peak_slope": f"L = factor sqrt(alpha ts), factor pi / sqrt(3.64) after a flash on a plate much thicker than L; "
    f"{_WIDE}, but less bent by sideways flow than the largest contrast; needs a sound reference",
    "blind_frequency": "L = factor sqrt(alpha / (pi fb)); factor 1.437 at a phase contrast of 0.03 rad in one "
    "dimension (pi / 2 without noise and threshold; about 1.8 for plain transforms in the literature): "
    f"it depends on the noise; {_WIDE}; needs a sound reference, even frame times and a recording longer than 2 / fb",
}
_SOURCES = {
    "second_derivative": "10.1117/1.1566969",
    "contrast_peak": "10.1115/1.2165211",
    "peak_slope": "10.1115/1.2165211",
    "blind_frequency": "10.3166/qirt.1.47-70",
}
_FLASH = "the heating is no flash: the formula's factor holds for impulse heating only; calibrate it for this heating"


@dataclass(frozen=True, kw_only=True)
class DepthMaps:
    """Options of the depth maps.

    Parameters
    ----------
    estimates : tuple of {"second_derivative", "contrast_peak", "peak_slope", "blind_frequency"}
        Which; those that the recording allows when empty.
    diffusivity_mm2_s : float, optional
        Through the thickness; the recording's material when None.
    second_derivative_factor, contrast_peak_factor, peak_slope_factor, blind_frequency_factor : float
        See `calibrate_depth_factor`.
    noise_factor : float
        Peaks and phase contrasts below so many standard deviations of the noise do not count.
    order : int
        Of the TSR polynomial, through the frames that lie close enough in ln t (`dense_part`).
    min_second_derivative : float
        Smaller peaks are taken for the polynomial's own waves; a wide insulating defect makes 0.474.
    width : float
        Half width in ln t over which contrasts are smoothed.
    min_phase_rad : float
        Smaller phase contrasts do not count either: above the blind frequency a wide defect shows up to 0.03 rad of the
        other sign.
    n_frequencies : int
        Evenly over ln f, from the lowest resolved frequency to the highest.
    t_start_s, t_end_s : float, optional
        Part of the cooling after the flash's middle or the heating stop.
    quantities : bool
        Also the peak times and the blind frequency, for calibration.
    """

    estimates: tuple[DepthEstimate, ...] = ()
    diffusivity_mm2_s: float | None = None
    second_derivative_factor: float = SECOND_DERIVATIVE_FACTOR
    contrast_peak_factor: float = 1.0
    peak_slope_factor: float = PEAK_SLOPE_FACTOR
    blind_frequency_factor: float = CLOSED_FORM_FACTOR
    noise_factor: float = 5.0
    order: int = 9
    min_second_derivative: float = 0.1
    width: float = 0.25
    min_phase_rad: float = 0.03
    n_frequencies: int = 64
    t_start_s: float | None = None
    t_end_s: float | None = None
    quantities: bool = True

    def __post_init__(self) -> None:
        known = get_args(DepthEstimate)
        if any(one not in known for one in self.estimates) or len(set(self.estimates)) < len(self.estimates):
            raise ConfigError(
                f"depth.estimates are {list(self.estimates)}, expected some of {', '.join(known)}, each once"
            )
        for name in (*(f"{one}_factor" for one in known), "width", "diffusivity_mm2_s"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                raise ConfigError(f"depth.{name} is {value}, expected a positive number")
        for name in ("noise_factor", "min_second_derivative", "min_phase_rad"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"depth.{name} is {getattr(self, name)}, expected 0 or more")
        if not 3 <= self.order <= 12 or self.n_frequencies < 8:
            raise ConfigError(
                f"depth.order is {self.order} and n_frequencies {self.n_frequencies}, expected 3 to 12, and 8 or more"
            )

    def layers(self, scene: Scene) -> tuple[Layer, ...]:
        """Name the maps."""
        part, times, zero = scene.cooling(self.t_start_s, self.t_end_s)
        alpha, flash = self._diffusivity(scene), scene.excitation.kind == "flash"
        common: dict[str, Any] = {
            "method": "depth",
            "diffusivity_mm2_s": alpha,
            "noise": scene.noise,
            "noise_factor": self.noise_factor,
            "clock_zero_s": zero,
            "t_start_s": float(times[0]),
            "t_end_s": float(times[-1]),
            "n_frames": part.stop - part.start,
            "nan": "no peak stands above the noise within the window",
        }
        if not flash:
            warn_once(logger, scene, f"depth: {_FLASH}")
            common["warning"] = _FLASH
        layers = []
        for estimate in self._estimates(scene):
            facts = {
                **common,
                "estimate": estimate,
                "factor": getattr(self, f"{estimate}_factor"),
                "limits": _LIMITS[estimate],
                "reference": _SOURCES[estimate],
                **self._settings(estimate),
            }
            title = _TITLES[estimate]
            layers.append(Layer(name=f"depth_{estimate}", unit="mm", title=f"Depth from the {title}", metadata=facts))
            if self.quantities:
                is_frequency = estimate == "blind_frequency"
                layers.append(
                    Layer(
                        name=f"depth_{estimate}_hz" if is_frequency else f"depth_{estimate}_time",
                        unit="Hz" if is_frequency else "s",
                        title=title[0].upper() + title[1:] if is_frequency else f"Time of the {title}",
                        metadata=facts,
                    )
                )
        return tuple(layers)

    def compute(self, rise: NDArray[np.float32], scene: Scene) -> NDArray[np.floating]:
        """Compute the maps (n_layers, n) of a block of curves (T, n)."""
        part, times, _ = scene.cooling(self.t_start_s, self.t_end_s)
        alpha, curves = self._diffusivity(scene), rise[part]
        maps = []
        for estimate in self._estimates(scene):
            measured = self._measure(estimate, curves, times, part, scene)
            scale = depth_scale_mm(measured, alpha, "frequency" if estimate == "blind_frequency" else "time")
            maps.append(getattr(self, f"{estimate}_factor") * scale)
            if self.quantities:
                maps.append(measured)
        return np.stack(maps)

    def _measure(
        self,
        estimate: DepthEstimate,
        curves: NDArray[np.float32],
        times: NDArray[np.float64],
        part: slice,
        scene: Scene,
    ) -> NDArray[np.float64]:
        noise = float(scene.noise or 0.0)
        if estimate == "second_derivative":
            dense = dense_part(times)
            fit = fit_block(curves[dense], times[dense], self.order, None, r2=False)
            time, value = second_derivative_peak(fit, n_times=200, margin=0.12)
            limit = self.noise_factor * second_derivative_noise(fit, times[dense], time, noise)
            return np.where((value > limit) & (value > self.min_second_derivative), time, np.nan)
        if estimate == "blind_frequency":
            return self._blind(curves, times, part, scene)
        return find_contrast_peak(
            curves,
            scene.reference()[part],
            times,
            noise=noise,
            noise_factor=self.noise_factor,
            slope=estimate == "peak_slope",
            width=self.width,
        ).time_s

    def _blind(
        self, curves: NDArray[np.float32], times: NDArray[np.float64], part: slice, scene: Scene
    ) -> NDArray[np.float64]:
        frequencies, matrix = self._transform(times, scene)
        real, imaginary = matrix.real.astype(np.float32) @ curves, matrix.imag.astype(np.float32) @ curves
        spread = phase_noise_rad(np.hypot(real, imaginary), float(scene.noise or 0.0), np.abs(matrix))
        return blind_frequency(
            np.arctan2(imaginary, real),
            np.angle(matrix @ scene.reference()[part]),
            frequencies,
            threshold_rad=np.maximum(self.noise_factor * spread, self.min_phase_rad),
        )

    def _transform(
        self, times: NDArray[np.float64], scene: Scene
    ) -> tuple[NDArray[np.float64], NDArray[np.complex128]]:
        step = float(times[-1] - times[0]) / (times.size - 1)
        lowest, highest = 1 / (times.size * step), 0.5 / step
        wanted = np.exp(np.linspace(np.log(lowest), np.log(highest), self.n_frequencies + 1))[:-1]
        return wanted, spectrum_matrix(times, wanted, impulse=scene.excitation.kind == "flash")

    def _estimates(self, scene: Scene) -> tuple[DepthEstimate, ...]:
        possible: list[DepthEstimate] = []
        reasons = []
        for estimate in self.estimates or get_args(DepthEstimate):
            try:
                self._check(estimate, scene)
                possible.append(estimate)
            except ThermoQCError as error:
                if self.estimates:
                    raise
                reasons.append(f"{estimate}: {error}")
        if not possible:
            raise SequenceError(f"no depth can be estimated ({'; '.join(reasons)})")
        for reason in reasons:
            logger.debug("depth leaves out %s", reason)
        return tuple(possible)

    def _check(self, estimate: DepthEstimate, scene: Scene) -> None:
        _, times, _ = scene.cooling(self.t_start_s, self.t_end_s)
        if self.noise_factor > 0 and not scene.noise:
            raise MissingFactError("depth needs the camera noise; give netd_k, or noise_factor 0 for all peaks")
        if estimate == "second_derivative":
            check_tsr(times[dense_part(times)], self.order, None)
            return
        scene.reference()
        if times.size < 8:
            raise SequenceError(f"{times.size} frames are in the window of the depth maps, expected 8 or more")
        if estimate == "blind_frequency":
            self._transform(times, scene)

    def _settings(self, estimate: DepthEstimate) -> dict[str, Any]:
        if estimate == "second_derivative":
            return {"order": self.order, "min_second_derivative": self.min_second_derivative}
        if estimate == "blind_frequency":
            return {"n_frequencies": self.n_frequencies, "min_phase_rad": self.min_phase_rad}
        return {"width": self.width}

    def _diffusivity(self, scene: Scene) -> float:
        if self.diffusivity_mm2_s is not None:
            return self.diffusivity_mm2_s
        if scene.material is None:
            raise MissingFactError("depth needs the diffusivity; give diffusivity_mm2_s or a material")
        return scene.material.diffusivity_through_mm2_s
