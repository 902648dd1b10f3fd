"""`PhysicalRepresentation`: what networks see that must work on plates, lamps and cameras that they never saw."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ModelError, SequenceError
from thermo_qc.preprocess import estimate_noise
from thermo_qc.representation.bins import TimeBins, time_bins
from thermo_qc.representation.channels import heated_pixels
from thermo_qc.representation.facts import N_FACTS, lit_until_s, plate_facts
from thermo_qc.representation.physics import residual_channels
from thermo_qc.sequence import ThermalSequence

__all__ = ["PhysicalRepresentation", "Signal", "seen_by_network"]

_FORMATS = ("physical-1", "physical-2", "physical-3")
# options that are left out of the recipe where an older format will do
_KNOWN_SINCE = {"texture": 2, "drift": 2, "profile_order": 3, "noisy_level": 3, "hidden_from": 3}
_SMALLEST_NOISE = 1e-5  # of the largest rise
_BLOCK_BYTES = 32 * 2**20


@dataclass(frozen=True, kw_only=True, eq=False)
class Signal:
    """What a recording shows, by the median curve of its plate.

    Parameters
    ----------
    valid : ndarray of bool, shape (Y, X)
        Pixels that show a signal: finite, heated, inside the region.
    over_noise : float
        Largest rise over the noise of a frame; infinite where there is no noise, NaN where the level before the heating
        is not known.
    warmed_after : float
        Largest rise after the heating over that at its end (or in the first bin after it); about 1 where the heated
        face is seen. NaN where the heating goes on to the end.
    """

    valid: NDArray[np.bool_]
    over_noise: float
    warmed_after: float


_SEEN: WeakKeyDictionary[ThermalSequence, dict[tuple[str, bytes], Signal]] = WeakKeyDictionary()


@dataclass(frozen=True, kw_only=True, eq=False)
class PhysicalRepresentation:
    """Residuals in units of noise over fractions of the recording's own times, and facts of the plate.

    Power, emissivity, absorption, frame rate and length of the recording drop out; see
    `thermo_qc.representation.physics`.
    Facts are constant over the plate: 1 on it, signal over noise, length of the heating, whether material and thickness
    are known, and where they are the recording time and the pixel pitch in units of diffusion, and the anisotropy.

    Parameters
    ----------
    n_heating, n_cooling : int
        Bins of the heating and of the cooling.
    first_share : float
        First bin of the cooling over the last.
    background_order : int
        Order of the smooth background that is taken out of every image; -1 for none.
    profile_order : int
        Order of functions of x and of y whose sum is taken out besides, as edges that lose heat leave it; 0 for none.
    texture : bool
        Whether differences between neighbouring pixels beyond the camera's noise count as noise.
    drift : bool
        Whether what follows the lamps' pattern is taken out, as a drift that all pixels share does.
    noisy_level : bool
        Whether the noise of the level before the heating is taken out, which few cold frames leave in all bins.
    hidden_from : float
        Bins whose texture is at least this many times the camera's noise are left out; 0 for none.

    Examples
    --------
    >>> PhysicalRepresentation().n_stack_channels
    135
    """

    n_heating: int = 12
    n_cooling: int = 52
    first_share: float = 0.004
    background_order: int = 3
    profile_order: int = 0
    texture: bool = False
    drift: bool = False
    noisy_level: bool = False
    hidden_from: float = 0.0

    def __post_init__(self) -> None:
        if (
            self.n_heating < 0
            or self.n_cooling < 6
            or not 0 < self.first_share < 1
            or not -1 <= self.background_order <= 6
            or not 0 <= self.profile_order <= 12
        ):
            raise ModelError(f"{self} is no representation; expected 6 bins of the cooling or more, a share below 1")
        if 0 < self.profile_order <= self.background_order:
            raise ModelError(
                f"profile_order is {self.profile_order} with a background of order {self.background_order}, which "
                "takes out as much; expected 0, or more than that"
            )
        if not (self.hidden_from == 0 or (self.hidden_from > 1 and self.texture)):
            raise ModelError(
                f"hidden_from is {self.hidden_from} with texture: {self.texture}; expected 0, or more than 1 with it"
            )

    needs_fit = False

    @property
    def n_steps(self) -> int:
        """Bins of both parts."""
        return self.n_heating + self.n_cooling

    @property
    def n_curve_channels(self) -> int:
        """Channels of a curve: both residuals."""
        return 2

    @property
    def n_stack_channels(self) -> int:
        """Channels of a stack: both residuals in all bins, and the facts."""
        return 2 * self.n_steps + N_FACTS

    def stack(
        self,
        sequence: ThermalSequence,
        *,
        region: NDArray[np.bool_] | None = None,
        sound_mask: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.float32]:
        """Return what a network sees of a recording.

        Parameters
        ----------
        sequence : ThermalSequence
            Recording; frames in a file are read in bands of rows.
        region : ndarray of bool, shape (Y, X), optional
            The plate in the frame; the rest has no part in reference curves, and is 0.
        sound_mask : ndarray of bool, shape (Y, X), optional
            Not needed: the reference is the median of the plate.

        Returns
        -------
        ndarray of float32, shape (2 n_steps + 7, Y, X)

        Raises
        ------
        MissingFactError
            When the end of the heating is neither stated nor detectable.
        ModelError, SequenceError
            When the recording is too short or holds no signal.
        """
        del sound_mask
        return self._stack(sequence, region)[0]

    def visible(self, sequence: ThermalSequence, region: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
        """Return the pixels that show a signal, bool (Y, X): finite, heated, inside the region."""
        return self.signal(sequence, region).valid.copy()

    def signal(self, sequence: ThermalSequence, region: NDArray[np.bool_] | None = None) -> Signal:
        """Return what a recording shows; errors as for `stack`."""
        seen, key = _SEEN.setdefault(sequence, {}), _key(self, region)
        if key not in seen:
            values, bins, finite = self._binned(sequence, region)
            valid = visible_pixels(values, bins, finite)
            seen[key] = _signal(sequence, _median_curve(values, bins, valid), bins, valid, _noise(sequence))
        return seen[key]

    def _stack(
        self, sequence: ThermalSequence, region: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        values, bins, finite = self._binned(sequence, region)
        noise = _noise(sequence)
        stack, valid, curve = seen_by_network(
            values,
            bins,
            self,
            noise=noise,
            finite=finite,
            facts=lambda ratio: plate_facts(sequence, end_s=float(sequence.times_s[-1]), signal_to_noise=ratio),
        )
        _SEEN.setdefault(sequence, {})[_key(self, region)] = _signal(sequence, curve, bins, valid, noise)
        return stack, valid

    def bins_of(self, sequence: ThermalSequence) -> TimeBins:
        """Return the bins of a recording, from its times alone; errors as for `stack`."""
        return time_bins(
            sequence.times_s,
            heating_stop_s=lit_until_s(sequence),
            n_heating=self.n_heating,
            n_cooling=self.n_cooling,
            first_share=self.first_share,
        )

    def _binned(
        self, sequence: ThermalSequence, region: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.float32], TimeBins, NDArray[np.bool_]]:
        """Bins (B, Y, X), how they were made, and the pixels inside the region with finite values."""
        bins = self.bins_of(sequence)
        weights = bins.weights.astype(np.float32)
        used = np.flatnonzero(weights.any(axis=0))
        values = np.empty((self.n_steps, *sequence.frame_shape), dtype=np.float32)
        finite = np.ones(sequence.frame_shape, dtype=bool)
        whole = used.size > 0.8 * sequence.n_frames
        for part, block in sequence.blocks(_BLOCK_BYTES):
            frames = (block if whole else block[used]).reshape(sequence.n_frames if whole else used.size, -1)
            first = frames[:1].copy()
            binned = (weights if whole else weights[:, used]) @ (frames - first)
            if not bins.cold:
                binned[bins.present] += first - np.float32(_level(sequence))
            values[:, part] = binned.reshape(self.n_steps, -1, sequence.frame_shape[1])
            finite[part] = np.isfinite(binned).all(axis=0).reshape(-1, sequence.frame_shape[1])
        if region is not None:
            if region.shape != finite.shape:
                raise SequenceError(
                    f"region has shape {region.shape}, the frames have {finite.shape}; draw it on the same frame"
                )
            finite &= region
        return values, bins, finite

    def to_metadata(self) -> dict[str, Any]:
        """Return the recipe as JSON types."""
        recipe = asdict(self)
        needed = max([since for name, since in _KNOWN_SINCE.items() if recipe[name]], default=1)
        known = {name: value for name, value in recipe.items() if _KNOWN_SINCE.get(name, 1) <= needed}
        return {"format_version": _FORMATS[needed - 1], **known}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return nothing: nothing is fitted."""
        return {}

    @classmethod
    def from_saved(cls, metadata: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> PhysicalRepresentation:
        """Rebuild a representation from `to_metadata`.

        Raises
        ------
        ModelError
            When it is broken or comes from a newer version.
        """
        content = dict(metadata)
        version = content.pop("format_version", None)
        if version not in _FORMATS or arrays:
            raise ModelError(
                f"representation has format {version}, expected one of {', '.join(_FORMATS)}; update thermo_qc"
            )
        try:
            return cls(**content)
        except TypeError as error:
            raise ModelError(
                f"the representation in the model file is broken: {error}; train the model again"
            ) from error


def _key(recipe: PhysicalRepresentation, region: NDArray[np.bool_] | None) -> tuple[str, bytes]:
    return str(recipe), b"" if region is None else region.tobytes()


def _signal(
    sequence: ThermalSequence, curve: NDArray[np.float32], bins: TimeBins, valid: NDArray[np.bool_], noise: float
) -> Signal:
    heating, cooling = bins.present & bins.heated, bins.present & ~bins.heated
    ends = sequence.excitation.kind != "step" and bool(cooling.any())
    at_end = float(curve[np.flatnonzero(heating)[-1] if heating.any() else np.argmax(cooling)]) if ends else 0.0
    known = bins.cold or (sequence.unit == "degC" and sequence.ambient_c is not None)
    largest = float(np.abs(curve[bins.present]).max()) if known else float("nan")
    return Signal(
        valid=valid,
        over_noise=largest / noise if noise > 0 else largest * float("inf"),
        warmed_after=float(curve[cooling].max()) / at_end if at_end > 0 else float("nan"),
    )


def _median_curve(values: NDArray[np.float32], bins: TimeBins, valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Median of the plate in every bin (B,); 0 where a bin is absent."""
    curve = np.zeros(len(values), dtype=np.float32)
    curve[bins.present] = np.median(values[bins.present][:, valid], axis=1)
    return curve


def visible_pixels(values: NDArray[np.float32], bins: TimeBins, finite: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels that show a signal, bool (Y, X).

    Raises
    ------
    SequenceError
        When none does.
    """
    mean = values[bins.present].mean(axis=0)
    valid = heated_pixels(np.where(finite, mean, np.float32(np.nan)))
    if not valid.any():
        raise SequenceError("no pixel shows a signal; check heating_stop_s, the region and the recording for NaN")
    return valid


def seen_by_network(
    values: NDArray[np.float32],
    bins: TimeBins,
    recipe: PhysicalRepresentation,
    *,
    noise: float,
    finite: NDArray[np.bool_],
    facts: Callable[[float], NDArray[np.float32]],
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]:
    """Turn bins into the stack that a network sees.

    Parameters
    ----------
    values : ndarray of float32, shape (B, Y, X)
        Binned rise.
    bins : TimeBins
        How they were made.
    recipe : PhysicalRepresentation
        What is taken out of them.
    noise : float
        Noise of a frame.
    finite : ndarray of bool, shape (Y, X)
        Pixels that may be used.
    facts : callable
        Signal over noise to the facts (7,).

    Returns
    -------
    stack : ndarray of float32, shape (2 B + 7, Y, X)
    valid : ndarray of bool, shape (Y, X)
        Pixels that show a signal; the stack is 0 elsewhere.
    curve : ndarray of float32, shape (B,)
        Median of these pixels in every bin; 0 where a bin is absent.
    """
    valid = visible_pixels(values, bins, finite)
    curve = _median_curve(values, bins, valid)
    largest = float(np.abs(curve).max())
    noise = max(noise, _SMALLEST_NOISE * largest)
    residuals = residual_channels(
        values,
        bins,
        noise=noise,
        valid=valid,
        background_order=recipe.background_order,
        profile_order=recipe.profile_order,
        texture=recipe.texture,
        drift=recipe.drift,
        noisy_level=recipe.noisy_level,
        hidden_from=recipe.hidden_from,
    )
    constant = facts(largest / noise)[:, None, None] * valid
    return np.concatenate([residuals, constant.astype(np.float32)]), valid, curve


def _noise(sequence: ThermalSequence) -> float:
    """Return the noise of one frame: estimated, else as stated by the recording, else unknown (0)."""
    try:
        return estimate_noise(sequence)
    except SequenceError:
        return sequence.netd_k or 0.0


def _level(sequence: ThermalSequence) -> float:
    """Level that is subtracted where no cold frame is: the ambient temperature, or nothing."""
    return sequence.ambient_c if sequence.unit == "degC" and sequence.ambient_c is not None else 0.0
