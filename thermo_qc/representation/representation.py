"""`Representation`: the recipe from a recording to what a network sees, and what was fitted for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError, MissingFactError, ModelError, SequenceError
from thermo_qc.representation.fitting import expected_arrays, fit_arrays, project
from thermo_qc.representation.neighbourhood import CurveField, check_neighbourhood, n_neighbourhood_channels
from thermo_qc.representation.prepare import Prepared, prepare_once
from thermo_qc.representation.scaling import scaled_feature, scaled_frames
from thermo_qc.representation.time_axis import TimeAxis
from thermo_qc.sequence import ThermalSequence

if TYPE_CHECKING:
    from thermo_qc.config import RepresentationConfig

__all__ = ["Representation"]

NORMALISATIONS = ("none", "pixel_standard", "pixel_minmax", "pixel_mean", "sequence_standard", "sequence_minmax")
REFERENCES = ("none", "median", "sound")
CHANNELS = ("value", "difference", "log_derivative")
SCALES = ("none", "noise", "noise_arcsinh", "channel_standard")
FEATURES = ("frames", "tsr", "pct")
FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Representation:
    """Recipe from a recording to curves (N, T, C) or a stack (C, Y, X).

    Parameters
    ----------
    subtract_cold : bool
        Subtract the mean cold frame where there is one.
    replace_dead : bool
        Find dead pixels and fill them from their neighbours.
    time : TimeAxis
        Model time axis.
    normalise : str
        Normalisation of the rise: none, pixel_standard, pixel_minmax, pixel_mean, sequence_standard, sequence_minmax.
    reference : {"median", "sound", "none"}
        What "difference" is a difference to: the median over the plate, or a region that the user marks as sound.
    channels : tuple of {"value", "difference", "log_derivative"}
        Channels of a curve, and of each time step of the stack's frames.
    scale : {"channel_standard", "noise", "noise_arcsinh", "none"}
        Zero mean and unit deviation over the training data; in units of the camera noise of each step (and arcsinh of
        that, so that strong and weak defects both stay visible); or as it is. In units of noise, "value" and
        "log_derivative" count from their mean over the training data.
    flatten_background_px : float
        Standard deviation of the Gaussian background that is subtracted from every image; 0 for none.
    features : tuple of {"frames", "tsr", "pct"}
        Parts of a stack, in this order; curves hold the frames' channels alone.
    tsr_order, pct_components : int
        Order of the logarithmic polynomial; number of principal component images.
    pca_components : int, optional
        Project each pixel's channels and steps on this many directions, decorrelated on the training data.
    neighbourhood : int
        Edge of the square of pixels (odd) whose curves a pixel's curve comes with; 1 for the pixel alone. Stacks show
        neighbours anyway and stay as they are.
    neighbourhood_mode : {"all", "ring"}
        "all": the channels of every neighbour follow the pixel's own; "ring": for each ring around the pixel, the pixel
        minus the mean of the ring.
    fitted : dict of str to ndarray
        What `fit` found; empty before.

    Raises
    ------
    ConfigError
        When the choices contradict one another.

    Examples
    --------
    >>> Representation(channels=("difference",), scale="noise").n_stack_channels
    32
    """

    subtract_cold: bool = True
    replace_dead: bool = True
    time: TimeAxis = field(default_factory=TimeAxis)
    normalise: str = "pixel_mean"
    reference: str = "median"
    channels: tuple[str, ...] = ("value", "difference")
    scale: str = "channel_standard"
    flatten_background_px: float = 0.0
    features: tuple[str, ...] = ("frames",)
    tsr_order: int = 5
    pct_components: int = 6
    pca_components: int | None = None
    neighbourhood: int = 1
    neighbourhood_mode: str = "all"
    fitted: dict[str, NDArray[Any]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for name, known in (("normalise", NORMALISATIONS), ("reference", REFERENCES), ("scale", SCALES)):
            if getattr(self, name) not in known:
                raise ConfigError(
                    f"representation.{name} is '{getattr(self, name)}', expected one of {', '.join(known)}"
                )
        for name, known in (("channels", CHANNELS), ("features", FEATURES)):
            values = tuple(getattr(self, name))
            object.__setattr__(self, name, values)
            if not values or len(set(values)) != len(values) or not set(values) <= set(known):
                raise ConfigError(
                    f"representation.{name} is {list(values)}, expected some of {', '.join(known)}, each once"
                )
        if isinstance(self.time, Mapping):
            object.__setattr__(self, "time", TimeAxis(**self.time))
        self._check_numbers()
        check_neighbourhood(self.neighbourhood, self.neighbourhood_mode)

    def _check_numbers(self) -> None:
        if "difference" in self.channels and self.reference == "none":
            raise ConfigError("channel 'difference' needs a reference; set representation.reference to median or sound")
        if "tsr" in self.features and self.time.n_steps < self.tsr_order + 2:
            raise ConfigError(
                f"tsr of order {self.tsr_order} needs {self.tsr_order + 2} time steps, got {self.time.n_steps}"
            )
        if "pct" in self.features and self.time.n_steps < self.pct_components:
            raise ConfigError(f"{self.pct_components} pct components need as many time steps, got {self.time.n_steps}")
        width = self.time.n_steps * len(self.channels)
        if self.pca_components is not None and not 1 <= self.pca_components <= width:
            raise ConfigError(f"pca_components is {self.pca_components}, expected 1 to {width} (steps x channels)")
        if not 0 <= self.flatten_background_px < np.inf:
            raise ConfigError(
                f"flatten_background_px is {self.flatten_background_px}, expected a length in pixels or 0"
            )

    @classmethod
    def from_config(cls, config: RepresentationConfig) -> Representation:
        """Build the recipe from its schema."""
        content = config.model_dump()
        return cls(**{**content, "time": TimeAxis(**content["time"])})

    @property
    def n_steps(self) -> int:
        """Length of a curve (T, or the number of principal components)."""
        return self.time.n_steps if self.pca_components is None else self.pca_components

    @property
    def n_curve_channels(self) -> int:
        """Channels of a curve with its neighbourhood (C)."""
        return n_neighbourhood_channels(self.neighbourhood, self.neighbourhood_mode, self._n_own_channels)

    @property
    def _n_own_channels(self) -> int:
        """Channels of the curve of one pixel."""
        return len(self.channels) if self.pca_components is None else 1

    @property
    def n_stack_channels(self) -> int:
        """Channels of a stack (C)."""
        sizes = {
            "frames": self.n_steps * self._n_own_channels,
            "tsr": self.tsr_order + 1,
            "pct": self.pct_components,
        }
        return sum(sizes[name] for name in self.features)

    @property
    def needs_fit(self) -> bool:
        """Whether `fit` must be called on training data before anything else."""
        centred = self.scale in {"noise", "noise_arcsinh"} and set(self.channels) != {"difference"}
        return self.scale == "channel_standard" or centred or self.pca_components is not None

    def fit(
        self,
        sequences: Sequence[ThermalSequence],
        masks: Sequence[NDArray[np.bool_] | None] | None = None,
        *,
        sound_masks: Sequence[NDArray[np.bool_] | None] | None = None,
    ) -> Representation:
        """Fit scales and principal directions on training data.

        Parameters
        ----------
        sequences : sequence of ThermalSequence
            Training recordings.
        masks : sequence of ndarray of bool (Y, X) or None, optional
            Pixels of each recording that may be used.
        sound_masks : sequence of ndarray of bool (Y, X) or None, optional
            Sound region of each recording, for ``reference="sound"``.

        Returns
        -------
        Representation
            A fitted copy.

        Raises
        ------
        ModelError
            When there is nothing to fit on.
        """
        sequences = list(sequences)
        if not sequences:
            raise ModelError("a representation is fitted on training recordings, none came")
        given = masks if masks is not None else [None] * len(sequences)
        sound = sound_masks if sound_masks is not None else [None] * len(sequences)
        fresh = replace(self, fitted={})
        parts = zip(sequences, given, sound, strict=True)
        return replace(self, fitted=fit_arrays(fresh, list(parts)))

    def curves(
        self,
        sequence: ThermalSequence,
        mask: NDArray[np.bool_] | None = None,
        *,
        region: NDArray[np.bool_] | None = None,
        sound_mask: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.float32]:
        """Return the curves of pixels, row by row.

        Parameters
        ----------
        sequence : ThermalSequence
            Recording; its truth is never looked at.
        mask : ndarray of bool, shape (Y, X), optional
            Pixels wanted; all when None. Does not change the values.
        region : ndarray of bool, shape (Y, X), optional
            The plate in the frame; the rest has no part in references and scales, and is 0.
        sound_mask : ndarray of bool, shape (Y, X), optional
            Sound region, for ``reference="sound"``.

        Returns
        -------
        ndarray of float32, shape (N, n_steps, n_curve_channels)

        Raises
        ------
        ModelError
            When the representation is not fitted or the recording does not fit it.
        MissingFactError
            When the end of the heating or the sound region is needed and missing.
        """
        if mask is not None and mask.shape != sequence.frame_shape:
            raise SequenceError(f"mask has shape {mask.shape}, the frames have {sequence.frame_shape}")
        field = self.curve_field(sequence, region=region, sound_mask=sound_mask)
        return field.gather(np.arange(len(field)) if mask is None else np.flatnonzero(mask))

    def curve_field(
        self,
        sequence: ThermalSequence,
        *,
        region: NDArray[np.bool_] | None = None,
        sound_mask: NDArray[np.bool_] | None = None,
    ) -> CurveField:
        """Return the curves of all pixels, their neighbourhoods gathered batch by batch; parameters as for `curves`."""
        self._check_fitted()
        self._check_sound(sequence, sound_mask)
        prepared = self._prepare(sequence, region)
        frames = scaled_frames(self, prepared, sound_mask)
        flat = frames.reshape(*frames.shape[:2], -1)
        seen = prepared.valid.ravel() & np.isfinite(flat).all(axis=(0, 1))
        curves = np.ascontiguousarray(flat.transpose(2, 1, 0))
        if self.pca_components is not None:
            curves = project(curves, self.fitted)
            curves[~seen] = 0.0
        return CurveField(
            pixels=curves,
            seen=seen,
            frame_shape=sequence.frame_shape,
            size=self.neighbourhood,
            mode=self.neighbourhood_mode,
        )

    @property
    def n_tsr_channels(self) -> int:
        """Coefficients of a pixel's polynomial, with its neighbourhood's."""
        return n_neighbourhood_channels(self.neighbourhood, self.neighbourhood_mode, self.tsr_order + 1)

    def tsr_field(
        self,
        sequence: ThermalSequence,
        *,
        region: NDArray[np.bool_] | None = None,
        sound_mask: NDArray[np.bool_] | None = None,
    ) -> CurveField:
        """Return the coefficients of the logarithmic polynomial as curves of a single step, as for `curve_field`."""
        self._check_fitted()
        del sound_mask  # coefficients are compared with nothing
        prepared = self._prepare(sequence, region)
        images = scaled_feature(self, "tsr", prepared)
        return CurveField(
            pixels=np.ascontiguousarray(images.reshape(len(images), -1).T)[:, None, :],
            seen=prepared.valid.ravel(),
            frame_shape=sequence.frame_shape,
            size=self.neighbourhood,
            mode=self.neighbourhood_mode,
        )

    def stack(
        self,
        sequence: ThermalSequence,
        *,
        region: NDArray[np.bool_] | None = None,
        sound_mask: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.float32]:
        """Return the stack of images; parameters and errors as for `curves`.

        Returns
        -------
        ndarray of float32, shape (n_stack_channels, Y, X)
            Channel after channel, each with all its time steps; then the other features.
        """
        self._check_fitted()
        self._check_sound(sequence, sound_mask)
        prepared = self._prepare(sequence, region)
        parts = []
        for name in self.features:
            if name == "frames":
                parts.append(self._frames_as_images(scaled_frames(self, prepared, sound_mask)))
            else:
                parts.append(scaled_feature(self, name, prepared))
        return np.ascontiguousarray(np.concatenate(parts), dtype=np.float32)

    def to_metadata(self) -> dict[str, Any]:
        """Return the recipe as JSON types."""
        content = asdict(replace(self, fitted={}))
        content.pop("fitted")
        return {
            "format_version": FORMAT_VERSION,
            **content,
            "channels": list(self.channels),
            "features": list(self.features),
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what was fitted."""
        return dict(self.fitted)

    @classmethod
    def from_saved(cls, metadata: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Representation:
        """Rebuild a representation from `to_metadata` and `arrays`.

        Raises
        ------
        ModelError
            When they do not belong together or come from a newer version.
        """
        content = dict(metadata)
        version = content.pop("format_version", None)
        if version != FORMAT_VERSION:
            raise ModelError(
                f"representation has format version {version}, expected {FORMAT_VERSION}; update thermo_qc"
            )
        try:
            result = cls(**{**content, "time": TimeAxis(**content["time"]), "fitted": dict(arrays)})
        except (TypeError, KeyError, ValueError, AttributeError, ConfigError) as error:
            raise ModelError(
                f"the representation in the model file is broken: {error}; train the model again"
            ) from error
        result._check_arrays()
        return result

    def frame_channels(
        self,
        sequence: ThermalSequence,
        *,
        region: NDArray[np.bool_] | None = None,
        sound_mask: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.float32]:
        """Return the scaled channels of all steps, float32 (C, T, Y, X), before any projection."""
        self._check_sound(sequence, sound_mask)
        return scaled_frames(self, self._prepare(sequence, region), sound_mask)

    def feature_images(self, sequence: ThermalSequence) -> dict[str, NDArray[np.float32]]:
        """Return the scaled images of the features other than frames, by name."""
        names = [name for name in self.features if name != "frames"]
        prepared = self._prepare(sequence, None) if names else None
        return {name: scaled_feature(self, name, prepared) for name in names if prepared is not None}

    def visible(self, sequence: ThermalSequence, region: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
        """Return the pixels that show a signal, bool (Y, X): finite, heated, inside the region."""
        return self._prepare(sequence, region).valid.copy()

    def _prepare(self, sequence: ThermalSequence, region: NDArray[np.bool_] | None) -> Prepared:
        return prepare_once(
            sequence,
            time=self.time,
            subtract_cold=self.subtract_cold,
            replace_dead=self.replace_dead,
            normalise_mode=self.normalise,
            region=region,
        )

    def _frames_as_images(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        n_channels, n_steps, height, width = frames.shape
        if self.pca_components is None:
            return frames.reshape(n_channels * n_steps, height, width)
        curves = frames.reshape(n_channels, n_steps, -1).transpose(2, 1, 0)
        return project(curves, self.fitted)[:, :, 0].T.reshape(-1, height, width)

    def _check_fitted(self) -> None:
        if self.needs_fit and not self.fitted:
            raise ModelError("the representation is not fitted; call fit with the training recordings first")

    def _check_sound(self, sequence: ThermalSequence, sound_mask: NDArray[np.bool_] | None) -> None:
        if self.reference != "sound" or "difference" not in self.channels:
            return
        if sound_mask is None:
            raise MissingFactError(
                "the model compares with a region known to be sound; give its mask (--sound, or sound: in the "
                "manifest), or train with reference 'median'"
            )
        if sound_mask.shape != sequence.frame_shape:
            raise SequenceError(f"sound mask has shape {sound_mask.shape}, the frames have {sequence.frame_shape}")

    def _check_arrays(self) -> None:
        expected = expected_arrays(self)
        found = {name: tuple(values.shape) for name, values in self.fitted.items()}
        if found != expected:
            raise ModelError(
                f"the representation's arrays are {sorted(found.items())}, expected {sorted(expected.items())}; "
                "the model file is broken, train the model again"
            )
