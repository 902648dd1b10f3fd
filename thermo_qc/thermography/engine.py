"""Many maps of one recording: read it once (decompositions: twice), in bounded memory, on several cores."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import local
from typing import Any, TypeGuard, cast

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import SequenceError, ThermoQCError
from thermo_qc.preprocess import estimate_noise
from thermo_qc.sequence import ThermalSequence
from thermo_qc.thermography.accumulate import GramSum, group_frames, pilot_functions, standardise_pixels
from thermo_qc.thermography.blocks import TILE_VALUES, CurveBlock, RiseBlocks, heated_pixels, run_tiles
from thermo_qc.thermography.scene import Gram, GramMethod, Layer, MapImage, PixelMethod, Scene

__all__ = ["MapSet", "compute_maps"]

logger = logging.getLogger(__name__)
BLOCK_VALUES = 2**19  # values that a method works on at once: 2 MiB in float32 stay in the processor's cache
Method = PixelMethod | GramMethod


@dataclass(frozen=True, kw_only=True, eq=False)
class MapSet:
    """Maps of one recording.

    Parameters
    ----------
    images : tuple of MapImage
        In the order of the methods.
    method_of : mapping
        Layer name to the name of the method that made it.
    scene : Scene
        What the methods knew.
    reference : str
        What the sound plate's curve was taken from.
    region : ndarray of bool, shape (Y, X)
        Pixels that were mapped.
    skipped : mapping
        Method name to the reason why it could not run.
    """

    images: tuple[MapImage, ...]
    method_of: Mapping[str, str]
    scene: Scene
    reference: str
    region: NDArray[np.bool_]
    skipped: Mapping[str, str]

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        for image in self.images:
            if image.layer.name == name:
                return image.values
        raise KeyError(name)


def compute_maps(
    sequence: ThermalSequence,
    methods: Mapping[str, Method],
    *,
    region: NDArray[np.bool_] | None = None,
    sound: NDArray[np.bool_] | None = None,
    threads: int | None = None,
    skip_impossible: bool = False,
    tile_values: int = TILE_VALUES,
    progress: Callable[[int, int], None] | None = None,
) -> MapSet:
    """Compute the maps of several methods block by block.

    Parameters
    ----------
    sequence : ThermalSequence
        The recording, with its cold frames (times below zero) where it has any: the rise is taken above their mean.
        Without cold frames the values themselves are taken as the rise, and the log says so.
    methods : mapping of str to PixelMethod or GramMethod
        What to compute; instances of the classes in `thermo_qc.thermography.METHODS`.
    region : ndarray of bool, shape (Y, X), optional
        Pixels to inspect; the others are NaN in all maps and have no part in decompositions. Those that the excitation
        has changed (`heated_pixels`) when None: noise beside the plate would rule what is scaled by its own spread.
    sound : ndarray of bool, shape (Y, X), optional
        Region known to be sound, whose mean curve contrasts compare with; the median of a sample of pixels over the
        plate when None.
    threads : int, optional
        Tiles worked on at the same time; all processors when None.
    skip_impossible : bool
        Leave a method out that the recording lacks something for, and say so in `MapSet.skipped`, instead of raising.
    tile_values : int
        About how many values are read at once and thread.
    progress : callable, optional
        ``progress(done, total)`` in tiles.

    Returns
    -------
    MapSet

    Raises
    ------
    SequenceError
        When a region does not fit, or no pixel has a whole curve.
    ThermoQCError
        When the recording lacks what a method needs.

    Examples
    --------
    >>> maps = compute_maps(sequence, {"pct": METHODS["pct"](n_components=4)})  # doctest: +SKIP
    >>> maps["pct_2"].shape  # doctest: +SKIP
    (512, 640)
    """
    found = region is None
    region = heated_pixels(sequence, _noise(sequence)) if region is None else region
    blocks = RiseBlocks(sequence, None if found and region.all() else region, tile_values)
    if not blocks.n_cold:
        logger.warning("no frame lies before the heating: the maps take the values themselves as the rise")
    n_threads = threads or os.cpu_count() or 1
    sample = blocks.sample()
    if sample.shape[0] == 0:
        raise SequenceError("no pixel has a value in every frame; repair the frames or choose another region")
    scene, reference = _scene(sequence, blocks, sample, sound, n_threads)
    pixel, gram, skipped = _usable(methods, scene, skip_impossible)
    groups = _groups(gram, scene)
    n_passes = int(bool(pixel or groups)) + int(bool(groups))
    count = _Counter(n_passes * len(blocks.tiles), progress)
    maps, sums = _first_pass(blocks, pixel, groups, sample, scene, n_threads, count)
    maps |= _second_pass(blocks, groups, sums, scene, n_threads, count, skipped if skip_impossible else None)
    images = [image for name in methods if name in maps for image in maps[name]]
    return MapSet(
        images=tuple(images),
        method_of={image.layer.name: name for name in methods if name in maps for image in maps[name]},
        scene=scene,
        reference=reference,
        region=region,
        skipped=skipped,
    )


@dataclass(eq=False)
class _Counter:
    total: int
    progress: Callable[[int, int], None] | None
    done: int = 0

    def __call__(self) -> None:
        self.done += 1
        if self.progress is not None:
            self.progress(self.done, self.total)


@dataclass(frozen=True, kw_only=True)
class _Group:
    """Decompositions that share a Gram matrix."""

    window: slice
    standardise: str
    group: int
    methods: dict[str, GramMethod]

    @property
    def n_steps(self) -> int:
        """Number of time steps after averaging."""
        return int(self.window.stop - self.window.start) // self.group

    def cut(self, curves: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cut and average curves (n, T) -> (n, t), a view where nothing is averaged."""
        return group_frames(curves[:, self.window], self.group)

    def times_s(self, scene: Scene) -> NDArray[np.float64]:
        times = scene.times_s[self.window]
        n_groups = times.size // self.group
        return np.asarray(times[: n_groups * self.group].reshape(n_groups, self.group).mean(axis=1))


def _scene(
    sequence: ThermalSequence,
    blocks: RiseBlocks,
    sample: NDArray[np.float32],
    sound: NDArray[np.bool_] | None,
    threads: int,
) -> tuple[Scene, str]:
    if sound is None:
        curve, reference = np.median(sample, axis=0).astype(np.float64), "median of pixels over the plate"
    else:
        curve, reference = _sound_curve(sequence, sound, threads), "mean of the sound region"
    noise = _noise(sequence)
    if noise is None and sequence.n_frames > 3:
        noise = estimate_noise(replace(sequence, frames=np.ascontiguousarray(sample.T)[:, :, None], truth=None))
    return Scene(
        times_s=sequence.times_s,
        unit="counts" if sequence.unit == "counts" else "K",
        excitation=sequence.excitation,
        shape=sequence.frame_shape,
        material=sequence.material,
        thickness_mm=sequence.thickness_mm,
        pixel_pitch_mm=sequence.pixel_pitch_mm,
        noise=noise,
        sound=curve,
    ), reference


def _noise(sequence: ThermalSequence) -> float | None:
    """Give the camera's noise where it is stated in the unit of the frames."""
    return None if sequence.unit == "counts" else sequence.netd_k


def _sound_curve(sequence: ThermalSequence, sound: NDArray[np.bool_], threads: int) -> NDArray[np.float64]:
    if sound.shape != sequence.frame_shape:
        raise SequenceError(f"sound region has shape {sound.shape}, the frames have {sequence.frame_shape}")
    blocks = RiseBlocks(sequence, sound)
    total, n_pixels = np.zeros(sequence.n_frames), 0

    def add(tile: tuple[slice, slice]) -> tuple[NDArray[np.float64], int]:
        curves = blocks.read(tile).rise()
        whole = curves[np.isfinite(curves).all(axis=1)]
        return whole.sum(axis=0, dtype=np.float64), whole.shape[0]

    for part, count in run_tiles(add, blocks.tiles, threads):
        total += part
        n_pixels += count
    if n_pixels == 0:
        raise SequenceError("no pixel of the sound region has a value in every frame; mark another")
    return total / n_pixels


def _usable(
    methods: Mapping[str, Method], scene: Scene, skip: bool
) -> tuple[dict[str, PixelMethod], dict[str, GramMethod], dict[str, str]]:
    pixel: dict[str, PixelMethod] = {}
    gram: dict[str, GramMethod] = {}
    skipped: dict[str, str] = {}
    for name, method in methods.items():
        with _noted(name, skipped if skip else None):
            if _is_gram(method):
                method.window(scene)
                gram[name] = method
            else:
                single = cast("PixelMethod", method)
                single.layers(scene)
                pixel[name] = single
    return pixel, gram, skipped


def _is_gram(method: Method) -> TypeGuard[GramMethod]:
    return hasattr(method, "time_functions")


def _groups(methods: Mapping[str, GramMethod], scene: Scene) -> list[_Group]:
    found: dict[tuple[int, int, str, int], _Group] = {}
    for name, method in methods.items():
        start, stop, _ = method.window(scene).indices(scene.times_s.size)
        group = -(-(stop - start) // method.max_frames)
        key = (start, stop, method.standardise, group)
        if key not in found:
            found[key] = _Group(window=slice(start, stop), standardise=method.standardise, group=group, methods={})
        found[key].methods[name] = method
    return list(found.values())


def _first_pass(
    blocks: RiseBlocks,
    pixel: dict[str, PixelMethod],
    groups: list[_Group],
    sample: NDArray[np.float32],
    scene: Scene,
    threads: int,
    count: Callable[[], None],
) -> tuple[dict[str, list[MapImage]], list[tuple[GramSum, NDArray[np.float32]]]]:
    """Compute maps of single pixels, the Gram matrices, and mean and scale (2, Y, X) of every pixel's curve."""
    if not (pixel or groups):
        return {}, []
    layers = {name: method.layers(scene) for name, method in pixel.items()}
    maps = {name: np.full((len(layers[name]), *scene.shape), np.nan, dtype=np.float32) for name in pixel}
    pilots = [pilot_functions(standardise_pixels(group.cut(sample), group.standardise)[0]) for group in groups]
    scaling = [np.full((2, *scene.shape), np.nan, dtype=np.float32) for _ in groups]
    own = local()
    every: list[list[GramSum]] = []

    def work(tile: tuple[slice, slice]) -> None:
        block = blocks.read(tile)
        n_pixels = block.rows.size
        buffers = [np.empty((n_pixels, group.n_steps), dtype=np.float32) for group in groups]
        for part in _parts(block):
            rise = block.rise(part)
            for name, method in pixel.items():
                maps[name][:, block.rows[part], block.columns[part]] = method.compute(rise.T, scene)
            for group, buffer, pair in zip(groups, buffers, scaling, strict=True):
                buffer[part], mean, scale = standardise_pixels(group.cut(rise), group.standardise)
                pair[:, block.rows[part], block.columns[part]] = mean, scale
        if groups and not hasattr(own, "sums"):
            own.sums = [GramSum(pilot) for pilot in pilots]
            every.append(own.sums)
        for buffer, total in zip(buffers, own.sums if groups else (), strict=True):
            total.add(_whole(buffer))

    for _ in run_tiles(work, blocks.tiles, threads, count):
        pass
    totals = [GramSum(pilot) for pilot in pilots]
    for sums in every:
        for total, part in zip(totals, sums, strict=True):
            total.merge(part)
    return {name: _images(layers[name], maps[name]) for name in pixel}, list(zip(totals, scaling, strict=True))


def _second_pass(
    blocks: RiseBlocks,
    groups: list[_Group],
    sums: list[tuple[GramSum, NDArray[np.float32]]],
    scene: Scene,
    threads: int,
    count: Callable[[], None],
    skipped: dict[str, str] | None,
) -> dict[str, list[MapImage]]:
    """Project the recording onto the functions of time, and finish the maps of decompositions.

    What cannot be done is noted in `skipped`, or raised where that is None.
    """
    if not groups:
        return {}
    grams: list[Gram] = []
    counts: list[list[int]] = []
    operators: list[NDArray[np.float64]] = []
    offsets: list[NDArray[np.float64]] = []
    images = []
    for group, (total, _) in zip(groups, sums, strict=True):
        gram, offset, scale = total.standardised(group.standardise, group.times_s(scene))
        functions = []
        for name, method in list(group.methods.items()):
            with _noted(name, skipped) as noted:
                functions.append(np.asarray(method.time_functions(gram, scene)))
            if noted:
                del group.methods[name]
        if not functions:
            functions.append(np.zeros((gram.matrix.shape[0], 1)))
        operator = np.concatenate(functions, axis=1) * scale[:, None]
        grams.append(gram)
        counts.append([part.shape[1] for part in functions])
        operators.append(operator)
        offsets.append(offset @ operator)
        images.append(np.full((operator.shape[1], *scene.shape), np.nan, dtype=np.float32))
    single = [operator.astype(np.float32) for operator in operators]

    def work(tile: tuple[slice, slice]) -> None:
        block = blocks.read(tile)
        for part in _parts(block):
            rise = block.rise(part)
            places = block.rows[part], block.columns[part]
            for group, operator, offset, image, (_, pair) in zip(groups, single, offsets, images, sums, strict=True):
                mean, scale = pair[0][places][:, None], pair[1][places][:, None]
                values = (group.cut(rise) @ operator - mean * operator.sum(axis=0)) * scale
                image[:, *places] = (values - offset).T

    for _ in run_tiles(work, blocks.tiles, threads, count):
        pass
    maps: dict[str, list[MapImage]] = {}
    for group, gram, sizes, image in zip(groups, grams, counts, images, strict=True):
        used = np.isfinite(image).all(axis=0)
        first = 0
        for (name, method), size in zip(group.methods.items(), sizes, strict=False):
            part = image[first : first + size][:, used].astype(np.float64)
            first += size
            with _noted(name, skipped):
                layers = method.layers(gram, scene)
                values = np.full((len(layers), *scene.shape), np.nan, dtype=np.float32)
                values[:, used] = method.finish(part, gram, scene)
                maps[name] = _images(layers, values)
    return maps


@contextmanager
def _noted(name: str, skipped: dict[str, str] | None) -> Iterator[list[str]]:
    """Note what a method refuses, or raise it with the method's name; the list tells which it was."""
    noted: list[str] = []
    try:
        yield noted
    except ThermoQCError as error:
        if skipped is None:
            raise type(error)(f"{name}: {error}") from None
        skipped[name] = str(error)
        noted.append(name)


def _parts(block: CurveBlock) -> Iterator[slice]:
    """Cut a tile into pieces that stay in the processor's cache."""
    n_pixels, n_frames = block.values.shape
    step = max(1, BLOCK_VALUES // n_frames)
    for start in range(0, n_pixels, step):
        yield slice(start, min(start + step, n_pixels))


def _whole(curves: NDArray[np.float32]) -> NDArray[np.float32]:
    finite = np.isfinite(curves.sum(axis=1))
    return curves if finite.all() else np.ascontiguousarray(curves[finite])


def _images(layers: tuple[Layer, ...], values: NDArray[Any]) -> list[MapImage]:
    return [MapImage(layer=layer, values=value) for layer, value in zip(layers, values, strict=True)]
