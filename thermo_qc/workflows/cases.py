"""From a manifest to what training and evaluation need: sequences, class maps and groups."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError, MissingFactError, ModelError, SequenceError, TruthError
from thermo_qc.evaluation import FoldItem, diffusion_length_mm
from thermo_qc.io import Manifest, ManifestEntry, entry_plate, load_entry, read_region, sha256_of
from thermo_qc.plate import BINARY, ClassScheme, PlateSpec
from thermo_qc.representation import AnyRepresentation, PhysicalRepresentation, neighbourhood_radius_mm
from thermo_qc.sequence import ThermalSequence, Truth

__all__ = ["LabelledRecording", "check_fits", "check_frames", "class_depths_mm", "frames_bytes", "load_recordings"]

MEMORY_BYTES = 2 * 2**30  # recordings up to this sum are kept in memory, the others stay in their files


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledRecording:
    """A manifest entry with its sequence and labels.

    Parameters
    ----------
    entry : ManifestEntry
        Where it came from.
    sequence : ThermalSequence
        The recording, truth attached.
    scheme : ClassScheme
        Meaning of the class map.
    class_map : ndarray of uint8, shape (Y, X)
        0 sound, 1..K, 255 not to be used.
    sha256 : str
        Of the recording's file.
    """

    entry: ManifestEntry
    sequence: ThermalSequence
    scheme: ClassScheme
    class_map: NDArray[np.uint8]
    sha256: str

    @property
    def key(self) -> str:
        """Name of the recording in splits, predictions and tables."""
        return self.entry.key

    @property
    def sound_mask(self) -> NDArray[np.bool_] | None:
        """Region marked as sound in the manifest, for models that compare with one."""
        return None if self.entry.sound is None else read_region(self.entry.sound, self.sequence.frame_shape)

    @property
    def truth(self) -> Truth:
        """Known defects."""
        if self.sequence.truth is None:
            raise TruthError(f"recording '{self.key}' has no truth")
        return self.sequence.truth

    def fold_item(self, neighbourhood: int = 1) -> FoldItem:
        """Say what the folds need to know.

        The guard ring is the diffusion length at the end of the recording, and the reach of the `neighbourhood` (px)
        that comes with a pixel's curve.
        """
        material = self.sequence.material
        in_plane = None if material is None else material.diffusivity_in_plane_mm2_s
        guard = None if in_plane is None else diffusion_length_mm(in_plane, float(self.sequence.times_s[-1]))
        return FoldItem(
            key=self.key,
            acquisition=self.entry.acquisition,
            plate=str(self.entry.specimen or self.entry.plate or self.sequence.specimen_id or ""),
            condition=self.entry.condition,
            truth=self.truth,
            class_map=self.class_map,
            pixel_pitch_mm=self.sequence.pixel_pitch_mm,
            n_frames=self.sequence.n_frames,
            guard_mm=None if guard is None else guard + self.reach_mm(neighbourhood),
        )

    def reach_mm(self, neighbourhood: int) -> float:
        """Distance from a pixel to the farthest of its neighbourhood of so many px, mm; 0 without a pixel pitch."""
        return neighbourhood_radius_mm(neighbourhood, self.sequence.pixel_pitch_mm or 0.0)

    def record(self) -> dict[str, Any]:
        """Entry of ``run.json``."""
        return {
            "key": self.key,
            "recording": str(self.entry.recording),
            "sha256": self.sha256,
            "plate": "" if self.entry.plate is None else str(self.entry.plate),
            "acquisition": self.entry.acquisition,
            "condition": self.entry.condition,
            "specimen": self.entry.specimen or self.sequence.specimen_id or "",  # looks at one plate depend
            "pixel_pitch_mm": self.sequence.pixel_pitch_mm,
            "netd_k": self.sequence.netd_k,
        }


def load_recordings(manifest: Manifest, class_scheme: str) -> list[LabelledRecording]:
    """Load every entry of a manifest with its class map.

    Parameters
    ----------
    manifest : Manifest
        Recordings with truth.
    class_scheme : str
        Name of a scheme that every plate of the manifest defines alike; "binary" needs no plate.

    Raises
    ------
    TruthError
        When a recording has no truth.
    SequenceError
        When a recording's frames hold no information.
    ConfigError
        When plates define the scheme differently.
    """
    loaded: list[LabelledRecording] = []
    room = MEMORY_BYTES
    for entry in manifest.entries:
        sequence = load_entry(entry)
        size = frames_bytes(sequence)
        if size <= room:
            sequence, room = sequence.loaded(), room - size
        if sequence.truth is None:
            raise TruthError(
                f"recording '{entry.key}' ({entry.recording}) has no truth; name a mask (truth:), a "
                "registration, or a recording that holds its truth"
            )
        check_frames(sequence, f"recording '{entry.key}' ({entry.recording})")
        scheme = _scheme(entry, entry_plate(entry), class_scheme)
        if loaded and (scheme.class_names, scheme.max_depth_mm) != (
            loaded[0].scheme.class_names,
            loaded[0].scheme.max_depth_mm,
        ):
            raise ConfigError(
                f"class scheme '{class_scheme}' differs between the plates of '{loaded[0].key}' and '{entry.key}'; "
                "define it alike in both plate files"
            )
        loaded.append(
            LabelledRecording(
                entry=entry,
                sequence=sequence,
                scheme=scheme,
                class_map=scheme.class_map(sequence.truth),
                sha256=sha256_of(entry.recording),
            )
        )
    return loaded


def frames_bytes(sequence: ThermalSequence) -> int:
    """Memory that all frames of a recording take, bytes."""
    return sequence.n_frames * int(np.prod(sequence.frame_shape)) * np.dtype(sequence.frames.dtype).itemsize


def check_frames(sequence: ThermalSequence, name: str) -> None:
    """Refuse frames that hold no information, before hours go into them; read in bounded memory.

    Parameters
    ----------
    sequence : ThermalSequence
        Recording.
    name : str
        What to call it in the message.

    Raises
    ------
    SequenceError
        When a whole frame lacks finite values, or no pixel ever changes.
    """
    seen, changes = np.zeros(sequence.n_frames, dtype=bool), False
    for _, block in sequence.blocks():
        finite = np.isfinite(block)
        seen |= finite.any(axis=(1, 2))
        if not changes:
            highest = np.where(finite, block, -np.inf).max(axis=0)
            changes = bool((highest > np.where(finite, block, np.inf).min(axis=0)).any())
    empty = np.flatnonzero(~seen)
    if empty.size:
        first = int(empty[0])
        raise SequenceError(
            f"{name}: {empty.size} of {sequence.n_frames} frames hold no finite value, the first at "
            f"{sequence.times_s[first]:g} s; export the recording again without them"
        )
    if not changes:
        raise SequenceError(
            f"{name}: all frames are constant, no pixel ever changes; this is no recording of a heated plate"
        )


def check_fits(recordings: list[LabelledRecording], representation: AnyRepresentation) -> None:
    """Refuse a recording that a model's time axis does not fit, before anything is trained or predicted.

    Raises
    ------
    ModelError, MissingFactError
        With the recording's name.
    """
    for recording in recordings:
        try:
            if isinstance(representation, PhysicalRepresentation):
                representation.bins_of(recording.sequence)
            else:
                representation.time.steps_s(recording.sequence)
        except (ModelError, MissingFactError) as error:
            raise type(error)(f"recording '{recording.key}' ({recording.entry.recording}): {error}") from error


def class_depths_mm(recordings: list[LabelledRecording]) -> tuple[float, ...]:
    """Mean depth of each class over the plates of some recordings, NaN for sound and unknown."""
    return recordings[0].scheme.class_depths_mm(tuple(recording.truth for recording in recordings))


def _scheme(entry: ManifestEntry, plate: PlateSpec | None, name: str) -> ClassScheme:
    if plate is not None:
        return plate.scheme(name)
    if name == BINARY.name:
        return BINARY
    raise MissingFactError(
        f"class scheme '{name}' needs the plate of recording '{entry.key}'; add plate: FILE.yaml to the manifest "
        "or use data.class_scheme=binary"
    )


def manifest_path(config_path: Path, named: str | None, override: Path | None) -> Path:
    """Return the manifest to use: the option, else the configuration's own (relative to the configuration file)."""
    if override is not None:
        return override
    if named is None:
        raise ConfigError(f"{config_path}: data.manifest is missing; name a manifest there or with --manifest FILE")
    return config_path.parent / named
