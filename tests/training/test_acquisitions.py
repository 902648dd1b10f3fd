"""Acquisitions drawn from simulated plates: cameras, times, texture, drift, and which defects count."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from simulated_plates import GFRP, RECIPE, plate

from thermo_qc.representation import time_bins
from thermo_qc.sequence import Material
from thermo_qc.training import AcquisitionRanges, SimulatedPlate, draw_acquisition
from thermo_qc.training.acquisitions import _spread, _texture


@pytest.mark.parametrize("kind", ["long_pulse", "flash"])
def test_an_acquisition_is_drawn(kind: str) -> None:
    drawn = draw_acquisition(plate(0, kind=kind), np.random.default_rng(0), RECIPE, AcquisitionRanges())
    assert drawn.stack.shape == (39, 20, 24) and np.isfinite(drawn.stack).all()
    assert set(np.unique(drawn.labels)) == {0, 1, 255}
    assert (drawn.labels[15:18, 3:6] == 255).all() and (drawn.labels[0] == 255).all()  # too weak; not to be used
    assert np.abs(drawn.stack[:32, 8, 8]).max() > 3 * np.abs(drawn.stack[:32, 8, 20]).mean()
    again = draw_acquisition(plate(0, kind=kind), np.random.default_rng(0), RECIPE, AcquisitionRanges())
    np.testing.assert_array_equal(drawn.stack, again.stack)


def test_a_plate_is_kept_in_levels_far_finer_than_noise() -> None:
    kept = plate(0)
    sequence = kept.sequence
    assert sequence.ambient_c is not None
    rise = np.asarray(sequence.frames[:, :, :], dtype=np.float64) - sequence.ambient_c
    step = np.ptp(rise, axis=(1, 2)) / 65_535
    assert (np.abs(kept.rise_k - rise) <= 0.51 * step[:, None, None] + 1e-6 * np.abs(rise)).all()
    weights = np.random.default_rng(0).standard_normal((5, len(rise)))
    np.testing.assert_allclose(kept.mixed(weights), np.tensordot(weights, rise, 1), atol=2e-4 * np.ptp(rise))
    still = SimulatedPlate(sequence=replace(sequence, frames=np.full(rise.shape, 30.0, np.float32)), indices={})
    np.testing.assert_allclose(still.rise_k, 30.0 - sequence.ambient_c, rtol=1e-6)  # not divided by 0
    assert kept._levels.nbytes * 2 == rise.astype(np.float32).nbytes


def test_complete_recordings_lack_nothing() -> None:
    lacking = AcquisitionRanges(
        shortened_share=1.0, no_cold_share=1.0, no_heating_share=1.0, no_facts_share=1.0, netd_k=(0.02, 0.02)
    )
    assert lacking.complete.netd_k == (0.02, 0.02)
    for seed in range(4):
        full, part = (
            draw_acquisition(plate(0), np.random.default_rng(seed), RECIPE, ranges)
            for ranges in (lacking.complete, lacking)
        )
        facts = full.stack[32:, 8, 8], part.stack[32:, 8, 8]
        assert facts[0][3] == 1 and (facts[1][3:] == 0).all()  # the material is known
        assert np.abs(full.stack[:4, 8, 8]).all() and not part.stack[:4].any()  # the heating is there
        length = np.sqrt(GFRP.diffusivity_through_mm2_s * 100.0)
        reached = np.exp(full.log_depth[8, 8]) * length, np.exp(part.log_depth[8, 8]) * length
        assert reached[0] == pytest.approx(2.0, rel=0.02) and reached[1] > reached[0]  # to the end


def test_depth_is_relative_to_what_heat_reaches() -> None:
    whole = AcquisitionRanges(shortened_share=0.0)
    drawn = draw_acquisition(plate(0), np.random.default_rng(3), RECIPE, whole)
    length = np.sqrt(GFRP.diffusivity_through_mm2_s * 100.0)
    np.testing.assert_allclose(np.exp(drawn.log_depth[8, 8]) * length, 2.0, rtol=0.02)


def test_noise_of_sound_pixels_is_one() -> None:
    """The channels are in units of the noise, with the correlations that cold frames and interpolation make."""
    quiet = AcquisitionRanges(
        gain=0.0, column_noise=0.0, blur_px=(0.0, 0.0), no_cold_share=0.0, no_heating_share=0.0, n_frames=(600, 600)
    )
    spread = []
    for seed in range(6):
        drawn = draw_acquisition(plate(0, height=40), np.random.default_rng(seed), RECIPE, quiet)
        spread.append(np.sinh(drawn.stack[16 + 4 : 32, 20:, 14:]).std(axis=(1, 2)))
    assert 0.75 < float(np.mean(spread)) < 1.1


def test_cameras_without_cold_frames_heating_or_facts() -> None:
    nothing = AcquisitionRanges(no_cold_share=1.0, no_heating_share=1.0, no_facts_share=1.0)
    drawn = draw_acquisition(plate(0), np.random.default_rng(1), RECIPE, nothing)
    assert (drawn.stack[:4] == 0).all() and (drawn.stack[35:] == 0).all()
    everything = AcquisitionRanges(no_cold_share=0.0, no_heating_share=0.0, no_facts_share=0.0)
    drawn = draw_acquisition(plate(0), np.random.default_rng(1), RECIPE, everything)
    assert (drawn.stack[:4] != 0).any() and (drawn.stack[35, 1:] == 1).all()


def test_texture_tells_neighbours_apart_early_and_fades() -> None:
    options = {"gain": 0.0, "column_noise": 0.0, "blur_px": (0.0, 0.0), "no_cold_share": 0.0, "netd_k": (1e-3, 1e-3)}
    blind = replace(RECIPE, background_order=-1)
    early = []
    for seed in range(12):  # fading and pattern are drawn
        smooth, woven = (
            draw_acquisition(
                plate(0, height=40, kind="flash"),
                np.random.default_rng(seed),
                blind,
                AcquisitionRanges(**options, textured_share=share, texture=(0.01, 0.01)),
            ).stack[4:16, 20:, 14:]
            for share in (0.0, 1.0)
        )
        present = np.flatnonzero(np.abs(woven).max(axis=(1, 2)) > 0)
        spread = np.sinh(woven).std(axis=(1, 2)) / np.sinh(smooth).std(axis=(1, 2))
        early.append(spread[present[0]])
    assert np.median(early) > 2.0
    bins = time_bins(np.arange(-5, 500) / 5.0, heating_stop_s=20.0, n_heating=4, n_cooling=12)
    sequence = plate(0, height=40, kind="flash").sequence
    share = _texture(sequence, bins, 20.0, np.random.default_rng(0), AcquisitionRanges(texture=(0.01, 0.01)))
    course = share.std(axis=(1, 2))
    np.testing.assert_allclose(course[:4], 0.01, rtol=1e-3)  # as long as the lamps shine
    assert (np.diff(course[4:]) < 0).all() and course[-1] < 0.5 * course[0]
    known = replace(blind, texture=True)
    drawn = draw_acquisition(
        plate(0, height=40, kind="flash"),
        np.random.default_rng(1),
        known,
        AcquisitionRanges(**options, textured_share=1.0, texture=(0.01, 0.01)),
    )
    assert np.isfinite(drawn.stack).all()
    plain = AcquisitionRanges()
    never = AcquisitionRanges(textured_share=0.0, texture=(0.5, 0.5))
    one, other = (draw_acquisition(plate(0), np.random.default_rng(2), RECIPE, ranges) for ranges in (plain, never))
    np.testing.assert_array_equal(one.stack, other.stack)


def test_uneven_heat_spreads_along_the_plate() -> None:
    """A wave falls as exp(-diffusivity (2 pi / wavelength)^2 age); the age counts from the middle of a pulse."""
    still = plate(0, height=40, kind="flash").sequence
    material = Material(
        name="CFRP",
        conductivity_through_w_mk=0.7,
        conductivity_in_plane_w_mk=5.0,
        conductivity_y_w_mk=1.0,
        density_kg_m3=1600.0,
        heat_capacity_j_kgk=1000.0,
    )
    sequence = replace(still, material=material, pixel_pitch_mm=0.5)
    height, width = sequence.frame_shape
    bins = time_bins(np.arange(-5, 500) / 100.0, heating_stop_s=0.2, n_heating=4, n_cooling=12)
    age = np.where(bins.elapsed_s < 0.2, 0.5 * bins.elapsed_s, bins.elapsed_s - 0.1)
    for along, size, conductivity in ((0, width, 5.0), (1, height, 1.0)):
        wave = np.cos(2 * np.pi * 2 * np.arange(size) / size).astype(np.float32)
        pattern = (
            np.broadcast_to(wave, (height, width)) if along == 0 else np.broadcast_to(wave[:, None], (height, width))
        )
        spread = _spread(np.ascontiguousarray(pattern), sequence, bins, 0.2)
        rate = conductivity / 1.6 * (2 * np.pi * 2 / (size * 0.5)) ** 2
        np.testing.assert_allclose(spread, np.exp(-rate * age)[:, None, None] * pattern, atol=1e-5)
    flat = np.ones((height, width), dtype=np.float32)
    np.testing.assert_allclose(_spread(flat, sequence, bins, 0.2), 1.0, atol=1e-6)
    unknown = replace(sequence, material=None)
    np.testing.assert_array_equal(_spread(flat, unknown, bins, 0.2), 1.0)


def test_a_share_of_the_textures_spreads() -> None:
    sequence = plate(0, height=40, kind="flash").sequence
    bins = time_bins(np.arange(-5, 500) / 5.0, heating_stop_s=0.0, n_heating=4, n_cooling=12)

    def finest(share: float, seed: int) -> np.ndarray:
        ranges = AcquisitionRanges(texture=(0.01, 0.01), spreading_share=share)
        drawn = _texture(sequence, bins, 0.0, np.random.default_rng(seed), ranges)
        first, last = drawn[bins.present][0], drawn[bins.present][-1]
        return np.array([np.corrcoef(first.ravel(), last.ravel())[0, 1], first.std()])

    only_fading = np.array([finest(0.0, seed) for seed in range(6)])
    spreading = np.array([finest(1.0, seed) for seed in range(6)])
    np.testing.assert_allclose(only_fading[:, 0], 1.0, atol=1e-4)  # the same pattern, fainter
    assert np.median(spreading[:, 0]) < 0.9 and (spreading[:, 1] < 0.0101).all()


def test_a_drift_moves_the_reference_with_the_sound_pixels() -> None:
    quiet = AcquisitionRanges(gain=0.0, column_noise=0.0, netd_k=(1e-3, 1e-3), no_cold_share=0.0, shortened_share=0.0)
    drifting = replace(quiet, drift_k=2.0)
    blind = replace(RECIPE, background_order=-1)
    still, moved = (
        draw_acquisition(plate(0), np.random.default_rng(7), blind, ranges).stack[:32] for ranges in (quiet, drifting)
    )
    sound = np.s_[:, 13:, 12:]
    change = np.abs(moved[sound] - still[sound]).mean()
    assert 0 < change < 0.5 * np.abs(moved[:, 8, 8] - still[:, 8, 8]).mean()
    with_drift = draw_acquisition(plate(0), np.random.default_rng(7), replace(RECIPE, drift=True), drifting)
    assert np.isfinite(with_drift.stack).all()


def test_defects_of_unknown_strength_stay_and_faint_ones_are_left_out() -> None:
    known = plate(0)
    drawn = draw_acquisition(known, np.random.default_rng(0), RECIPE, AcquisitionRanges(no_facts_share=0.0))
    index = known.sequence.truth.defect_index  # type: ignore[union-attr]
    assert (drawn.labels[index == 1] == 1).all() and (drawn.labels[index == 2] == 255).all()
    ratio = drawn.strengths[index == 1][0] / drawn.strengths[index == 2][0]
    assert ratio == pytest.approx(50.0 / 0.01) and not drawn.strengths[index <= 0].any()
    unknown = draw_acquisition(
        replace(known, indices={1: 50.0}), np.random.default_rng(0), RECIPE, AcquisitionRanges(no_facts_share=0.0)
    )
    assert (unknown.labels[index == 2] == 1).all() and np.isinf(unknown.strengths[index == 2]).all()
