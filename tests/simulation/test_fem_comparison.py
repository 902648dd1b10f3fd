"""Third-party finite elements of CFRP plates with an inclusion; see `fem_comparison` for what was found out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fem_cases import Case, Surroundings, edge_films_w_m2k, fit_surroundings, read_case
from fem_comparison import compare, main

from thermo_qc.simulation import Delamination

FOLDER = Path(__file__).parents[2].parent / "shared" / "data" / "fem"
THIN, THICK = (FOLDER / f"cfrp_{name}_inclusion.hdf5" for name in ("1.3mm_ellipse", "3.8mm_rect"))
HEATED_MM = {THIN: 23.5, THICK: 20.9}  # what the fit finds


@pytest.fixture(scope="module")
def thin() -> Case:
    return _case(THIN)


@pytest.fixture(scope="module")
def thick() -> Case:
    return _case(THICK)


def _case(path: Path) -> Case:
    if not path.is_file():
        pytest.skip(f"{path.name} is not here")
    return read_case(path)


def test_outline_of_the_parameters_is_the_mask(thin, thick):
    for case in (thin, thick):
        corners = case.pixels_mm + case.pitch_mm / 2
        covered = case.inclusion.covers(corners, corners[:, None])
        assert (covered & case.mask).sum() > 0.99 * (covered | case.mask).sum()


def test_edges_of_the_view_lose_heat_as_no_film_does(thick):
    """A film's coefficient would be one number, and the same along both axes."""
    case = thick.at(33.0, 30)
    along_x, along_y = edge_films_w_m2k(case).T
    early, later = (int(np.argmin(np.abs(case.times_s - t))) for t in (0.9, 10.0))
    assert abs(along_x[early]) < 15 and along_x[later] > 200
    assert along_x.max() > 7 * along_y.max()


def test_sound_material_and_contrast_on_coarse_cells(thin):
    """Coarse and early: 1 mm cells, to a third of the recording."""
    surroundings = Surroundings(heated_half_mm=HEATED_MM[THIN], film_w_m2k=0.0)
    result = compare(thin.at(1.2, 16), surroundings, lateral_mm=1.0, depth_cells=20, steps=50)
    assert np.abs(result.sound_error).max() < 0.02
    assert result.contrast_error(result.defect_time_s / 2) < 0.10


@pytest.mark.slow
def test_thin_plate_over_the_whole_recording(thin):
    surroundings = fit_surroundings(thin)
    assert surroundings.heated_half_mm == pytest.approx(HEATED_MM[THIN], abs=0.3)
    assert 0 <= surroundings.film_w_m2k < 5
    result = compare(thin.at(4.0, 40), surroundings, lateral_mm=0.5)
    assert np.abs(result.sound_error).max() < 0.02
    assert result.contrast_error(result.defect_time_s / 2) < 0.10
    assert compare(thin.at(4.0, 20), surroundings, lateral_mm=1.0, as_volume=True).contrast_error(0.2) > 0.5


@pytest.mark.slow
def test_thick_plate_over_the_whole_recording(thick):
    """The finite elements' contrast is an eighth lower, as their mesh makes it; form and time agree."""
    surroundings = fit_surroundings(thick)
    assert surroundings.heated_half_mm == pytest.approx(HEATED_MM[THICK], abs=0.3)
    result = compare(thick.at(33.0, 40), surroundings, lateral_mm=0.5)
    assert np.abs(result.sound_error).max() < 0.02
    late = result.case.times_s > result.defect_time_s / 2
    ours, theirs = result.contrast_k[late], result.fem_contrast_k[late]
    assert 1.05 < ours.max() / theirs.max() < 1.18
    assert np.abs(ours / ours.max() - theirs / theirs.max()).max() < 0.10


@pytest.mark.slow
def test_script_prints_its_tables(capsys):
    _case(THIN)
    main([str(THIN), "--lateral", "2"])
    printed = capsys.readouterr().out
    assert "heated half width 23." in printed and "sound material: largest error" in printed


def test_resistance_is_thickness_over_conductivity(thick):
    from fem_comparison import _as_resistance

    gap = _as_resistance(thick.inclusion)
    assert isinstance(gap, Delamination)
    assert gap.resistance_m2k_w == pytest.approx(6.46e-5 / 0.2)
    assert (gap.depth_mm, gap.turn_deg) == (thick.inclusion.depth_mm, thick.inclusion.turn_deg)
