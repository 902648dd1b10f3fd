"""Options that are off change nothing: numbers of the simulator before it had them."""

from __future__ import annotations

import numpy as np
import pytest

from thermo_qc.simulation import Heating, Lamp, Losses, Placement, record_plate, solve_cell, solve_plate

CASES = {
    "long_pulse": (
        Heating(duration_s=40.0, lamps=(Lamp(x_mm=10, y_mm=5, width_mm=60.0),)),
        Losses(edge_w_m2k=7.0),
    ),
    "flash": (Heating(kind="flash"), Losses()),
    "step_radiating": (Heating(kind="step", flux_w_m2=800.0), Losses(radiation_emissivity=0.9)),
}
BEFORE = {
    "long_pulse": {
        "rise": [
            [2.304774242, 2.276170755, 2.084518896],
            [6.561677652, 10.514439686, 5.550521181],
            [3.37049755, 4.388601234, 3.166570227],
        ],
        "mean": [0.0, 0.0, 2.135274241, 4.23304789, 7.258519352, 5.812514611, 4.143423048, 3.381018308, 2.901236911],
        "frames": [[22.0, 21.91, 22.02], [21.97, 29.25, 29.19], [22.12, 24.95, 25.02]],
        "frame_mean": 23.554434326,
        "frame_std": 4.823835983,
        "shape": [9, 27, 30],
    },
    "flash": {
        "rise": [
            [4.562343483, 4.697790066, 4.560693389],
            [1.113957089, 1.707558478, 1.049781072],
            [0.718072569, 0.829839309, 0.776222401],
        ],
        "mean": [0.0, 0.0, 4.567277953, 2.263716272, 1.276436764, 1.020841218, 0.866981714, 0.761286958, 0.68291858],
        "frames": [[22.0, 21.91, 22.02], [21.97, 23.11, 23.16], [22.12, 22.69, 22.72]],
        "frame_mean": 22.803021442,
        "frame_std": 4.530408793,
        "shape": [9, 27, 30],
    },
    "step_radiating": {
        "rise": [
            [1.828288112, 1.833528933, 1.828237187],
            [7.532927437, 10.440787088, 7.222337762],
            [10.348483656, 13.852871918, 10.130345468],
        ],
        "mean": [0.0, 0.0, 1.828491174, 3.591948174, 6.076338124, 7.332559004, 8.353108404, 9.22284888, 9.985596302],
        "frames": [[22.0, 21.91, 22.02], [21.97, 27.84, 27.9], [22.12, 31.76, 31.92]],
        "frame_mean": 24.228290275,
        "frame_std": 5.381251209,
        "shape": [9, 27, 30],
    },
}
CELL_BEFORE = {
    "centre": [4.540545614, 10.926155728, 5.494004016, 3.254806979],
    "sound": [4.540536104, 10.579731044, 4.55387393, 2.574746206],
}


@pytest.mark.parametrize("name", CASES)
def test_plate_and_camera_give_the_same_numbers_as_before(make_plate, name):
    heating, losses = CASES[name]
    plate = make_plate(40.0, 30.0, ((13.0, 12.0, 9.0, 1.3), (29.0, 17.0, 11.0, 4.35)))
    times = np.array([-1.0, 0, 2.5, 10, 30, 45, 60, 75, 90])
    solution = solve_plate(plate, times_s=times, heating=heating, losses=losses, dtype="float64")
    before = BEFORE[name]
    np.testing.assert_allclose(solution.rise_k[[2, 5, 8]][:, [3, 6, 8], [4, 6, 14]], before["rise"], rtol=1e-7)
    np.testing.assert_allclose(solution.rise_k.mean(axis=(1, 2)), before["mean"], rtol=1e-7)
    sequence = record_plate(
        solution,
        rng=np.random.default_rng(5),
        placement=Placement(turn_deg=20.0, mirrored=True, shift_x_mm=1.0),
        dead_fraction=0.01,
        drift_k=0.1,
    )
    frames = np.asarray(sequence.frames, dtype=np.float64)
    assert list(frames.shape) == before["shape"]
    np.testing.assert_allclose(frames[[0, 4, 8]][:, [5, 10, 15], [6, 12, 18]], before["frames"], atol=0.0101)
    assert frames.mean() == pytest.approx(before["frame_mean"], abs=1e-5)
    assert frames.std() == pytest.approx(before["frame_std"], abs=1e-5)


def test_round_cell_gives_the_same_numbers_as_before(gfrp):
    cell = solve_cell(
        material=gfrp,
        thickness_mm=17.0,
        depth_mm=4.35,
        diameter_mm=13.3,
        times_s=np.array([10.0, 60.0, 100.0, 200.0]),
        reach_mm=25.0,
    )
    np.testing.assert_allclose(cell.rise_k[:, 0], CELL_BEFORE["centre"], rtol=1e-7)
    np.testing.assert_allclose(cell.sound_k, CELL_BEFORE["sound"], rtol=1e-7)
