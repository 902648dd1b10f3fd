"""Step heating, decay, tomography and virtual waves on a simulated plate with losses and holes of known depths."""

from __future__ import annotations

import numpy as np
import pytest

from thermo_qc.plate import Hole, PlateSpec
from thermo_qc.sequence import Material
from thermo_qc.simulation import Heating, record_plate, solve_plate
from thermo_qc.thermography import compute_maps, contrast_to_noise, make_method

DEPTHS_MM = (1.5, 2.5, 3.5)
CENTRES_MM = (20.0, 60.0, 100.0)
THICKNESS_MM = 8.0
GFRP = Material(
    name="GFRP",
    conductivity_through_w_mk=0.30,
    conductivity_in_plane_w_mk=0.40,
    density_kg_m3=1900.0,
    heat_capacity_j_kgk=1000.0,
)


@pytest.fixture(scope="module")
def scene():
    """Recording of the plate, its pixels, the sound ones, and the middle of every hole."""
    holes = tuple(
        Hole(number=i, name=f"H{i}", x_mm=x, y_mm=20.0, diameter_mm=24.0, depth_mm=z)
        for i, (x, z) in enumerate(zip(CENTRES_MM, DEPTHS_MM, strict=True), 1)
    )
    plate = PlateSpec(name="p", width_mm=120, height_mm=40, thickness_mm=THICKNESS_MM, material=GFRP, holes=holes)
    times = np.concatenate([np.arange(-10, 0) * 0.25, np.arange(1, 601) * 0.25])
    solution = solve_plate(plate, times_s=times, heating=Heating(duration_s=20.0), depth_cells=32, max_step_s=1.0)
    sequence = record_plate(solution, rng=np.random.default_rng(0), netd_k=0.02, blur_px=0.0)
    n_rows, n_columns = sequence.frame_shape
    row, column = np.mgrid[:n_rows, :n_columns]
    x, y = (column - (n_columns - 1) / 2) * 2.0 + 60, (row - (n_rows - 1) / 2) * 2.0 + 20
    inside = (x > 0) & (x < 120) & (y > 0) & (y < 40)
    away = [np.hypot(x - centre, y - 20) for centre in CENTRES_MM]
    sound = (x > 4) & (x < 116) & (y > 3) & (y < 37) & (np.min(away, axis=0) > 17)
    return sequence, inside, sound, [distance < 5 for distance in away]


def maps_of(scene, name, options=None):
    sequence, inside, sound, _ = scene
    return compute_maps(sequence, {name: make_method(name, options)}, region=inside, sound=sound, threads=1)


def medians(image, regions):
    return [float(np.nanmedian(image[region])) for region in regions]


def test_step_heating_shows_the_holes_and_the_thick_plate(scene):
    _, _, sound, holes = scene
    maps = maps_of(scene, "step_heating", {"t_start_s": 5.0})
    half_space = 2 * 1000 / (GFRP.effusivity_w_s05_m2k * np.sqrt(np.pi))
    assert np.median(maps["step_slope"][sound]) == pytest.approx(half_space, rel=0.1)  # less the losses
    slopes = medians(maps["step_slope"], holes)
    assert slopes[0] > slopes[1] > slopes[2]
    assert [contrast_to_noise(maps["step_slope"], hole, sound) > 10 for hole in holes] == [True, True, False]


def test_decay_is_slower_over_holes(scene):
    _, _, sound, holes = scene
    maps = maps_of(scene, "decay")
    tau = medians(maps["decay_tau"], holes)
    assert tau[0] > tau[1] > tau[2] > np.nanmedian(maps["decay_tau"][sound])
    assert all(contrast_to_noise(maps["decay_tau"], hole, sound) > 3 for hole in holes)


def test_timegram_orders_the_holes_by_depth(scene):
    _, _, sound, holes = scene
    maps = maps_of(scene, "dtt", {"smooth_frames": 11, "depths_mm": (1.0, 2.2, 3.0, 4.0)})
    assert np.isnan(maps["dtt_timegram"][sound]).mean() > 0.5
    times = medians(maps["dtt_timegram"], holes)
    assert times[0] < times[1] < times[2]
    factors = np.array(DEPTHS_MM) / np.sqrt(GFRP.diffusivity_through_mm2_s * np.array(times))
    assert ((factors > 0.7) & (factors < 1.3)).all()
    names = ("dtt_tomogram_1-2.2mm", "dtt_tomogram_2.2-3mm", "dtt_tomogram_3-4mm")
    for k, name in enumerate(names):
        assert [value > 0 for value in medians(maps[name], holes)] == [i == k for i in range(3)]


def test_virtual_wave_orders_the_holes_and_sees_the_back_face(scene):
    """Losses and sideways spread, which the kernel knows nothing of, make holes look shallower by up to a third."""
    _, _, sound, holes = scene
    maps = maps_of(scene, "virtual_wave", {"n_images": 0})
    found = np.array(medians(maps["virtual_wave_depth"], holes))
    assert (np.diff(found) > 0.4).all()
    assert ((found / DEPTHS_MM > 0.67) & (found / DEPTHS_MM < 1.05)).all()
    assert np.nanmedian(maps["virtual_wave_depth"][sound]) == pytest.approx(THICKNESS_MM, rel=0.15)
    assert all(contrast_to_noise(maps["virtual_wave_height"], hole, sound) > 5 for hole in holes)
