"""What a recording could have shown: its set-up is read off it, and the smallest defect to reject gets its d'."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from thermo_qc.evaluation import InspectionSetup, hole_detectability, simulate_hole
from thermo_qc.inspection import Criteria, Limit, RecordedSetup, check_shown, recorded_setup
from thermo_qc.sequence import Excitation, Material, ThermalSequence
from thermo_qc.simulation import Heating

GFRP = Material(
    name="GFRP",
    conductivity_through_w_mk=0.3,
    conductivity_in_plane_w_mk=0.4,
    density_kg_m3=1900.0,
    heat_capacity_j_kgk=1000.0,
)
PULSE_S, NOISE_K, THICKNESS_MM = 20.0, 0.03, 8.0


@lru_cache
def sound_curve(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Times and rise of sound material under 1 kW/m2 (a flash of 10 kJ/m2)."""
    setup = InspectionSetup(heating=Heating(kind=kind, duration_s=PULSE_S), duration_s=100.0, cold_s=4.0)
    hole = simulate_hole(GFRP, thickness_mm=THICKNESS_MM, depth_mm=4.0, diameter_mm=8.0, setup=setup)
    return hole.times_s, hole.sound_k


def recording(kind: str = "long_pulse", level: float = 0.8, **facts: object) -> ThermalSequence:
    times = np.arange(-4.0, 101.0)
    at, rise = sound_curve(kind)
    curve = level * np.where(times <= 0, 0.0, np.interp(times, at, rise))
    light = np.linspace(1.0, 1.5, 20)[None, None, :]  # dim on the left
    frames = 22.0 + curve[:, None, None] * light + np.random.default_rng(1).normal(0, NOISE_K, (times.size, 12, 20))
    given = {
        "unit": "degC",
        "pixel_pitch_mm": 1.0,
        "excitation": Excitation(kind=kind, stop_s=PULSE_S if kind == "long_pulse" else None),
        "material": GFRP,
        "thickness_mm": THICKNESS_MM,
        **facts,
    }
    return ThermalSequence(frames=frames, times_s=times, **given)  # type: ignore[arg-type]


def test_heat_and_noise_are_measured() -> None:
    found = recorded_setup(recording())
    assert found.setup is not None
    assert found.missing == ()
    assert found.setup.heating.flux_w_m2 == pytest.approx(0.8 * 1000.0, rel=0.05)  # the dimmest place
    assert found.setup.noise_k == pytest.approx(NOISE_K, rel=0.1)
    assert found.setup.duration_s == 100.0
    assert found.misfit is not None
    assert found.misfit < 0.02
    assert "measured" in found.heat_source
    flash = recorded_setup(recording("flash"))
    assert flash.setup is not None
    assert flash.setup.heating.energy_j_m2 == pytest.approx(0.8 * 10_000.0, rel=0.05)


def test_the_noisier_figure_counts() -> None:
    stated = recorded_setup(recording(netd_k=0.1)).setup
    measured = recorded_setup(recording(netd_k=0.001)).setup
    assert stated is not None
    assert stated.noise_k == pytest.approx(0.1)
    assert measured is not None
    assert measured.noise_k == pytest.approx(NOISE_K, rel=0.1)


def test_a_stated_flux_serves_without_cold_frames() -> None:
    heating = Excitation(kind="long_pulse", stop_s=PULSE_S, flux_w_m2=700.0)
    hot = recording(excitation=heating).between(1.0, None)
    found = recorded_setup(hot)
    assert found.setup is not None
    assert found.setup.heating.flux_w_m2 == 700.0
    assert found.heat_source == "stated: 700 W/m²"
    assert "the heat" in recorded_setup(recording().between(1.0, None)).missing[0]


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({"material": None}, "material"),
        ({"thickness_mm": None}, "--thickness-mm"),
        ({"pixel_pitch_mm": None}, "--pixel-pitch-mm"),
        ({"unit": "counts"}, "temperatures"),
        ({"excitation": Excitation(kind="periodic", frequency_hz=0.1)}, "--excitation"),
    ],
)
def test_a_missing_fact_is_named(facts: dict[str, object], word: str) -> None:
    found = recorded_setup(recording(**facts))
    assert found.setup is None
    assert any(word in text for text in found.missing)


def test_the_plate_lends_its_facts() -> None:
    bare = recording(material=None, thickness_mm=None)
    assert recorded_setup(bare, material=GFRP, thickness_mm=THICKNESS_MM).setup is not None


def known_setup(noise_k: float = NOISE_K) -> RecordedSetup:
    setup = InspectionSetup(heating=Heating(duration_s=PULSE_S), netd_k=noise_k, duration_s=100.0, pixel_pitch_mm=1.0)
    return RecordedSetup(setup=setup, material=GFRP, thickness_mm=THICKNESS_MM, missing=())


def test_the_smallest_rejected_defect_must_be_detectable() -> None:
    criteria = Criteria(name="c", limits=(Limit(max_equivalent_diameter_mm=10.0, detect_depth_mm=3.0),))
    recorded = known_setup()
    shown = check_shown(criteria, recorded)
    assert recorded.setup is not None
    d_prime = hole_detectability(
        GFRP, thickness_mm=THICKNESS_MM, depth_mm=3.0, diameter_mm=10.0, setup=recorded.setup
    ).background
    assert [case.d_prime for case in shown.cases] == [pytest.approx(d_prime)]
    assert (shown.doubts, shown.missing) == ((), ())
    for factor, word in ((1.05 * d_prime / 30.0, "borderline"), (1.05 * d_prime / 6.5, "cannot be seen")):
        noisy = check_shown(criteria, known_setup(NOISE_K * factor))
        assert noisy.cases[0].word == word
        assert word in noisy.doubts[0]


def test_a_recording_that_is_too_short_for_the_depth_says_how_deep_it_reaches() -> None:
    limit = Limit(max_equivalent_diameter_mm=6.0, detect_depth_mm=6.5)
    known = known_setup(30 * NOISE_K)
    assert known.setup is not None
    alpha = GFRP.diffusivity_through_mm2_s
    for duration_s, short in ((100.0, True), (1.1 * 6.5**2 / alpha, False)):
        recorded = replace(known, setup=replace(known.setup, duration_s=duration_s))
        (doubt,) = check_shown(Criteria(name="c", limits=(limit,)), recorded).doubts
        assert ("too short" in doubt) is short
        if short:
            assert f"heat reaches {np.sqrt(alpha * 100.0):.2g} mm" in doubt
            assert f"at least {6.5**2 / alpha:.2g} s" in doubt


def test_where_the_depth_comes_from() -> None:
    recorded = known_setup()

    def depths(limit: Limit, deepest: float | None = None, **classes: float) -> list[float]:
        shown = check_shown(Criteria(name="c", limits=(limit,), deepest_mm=deepest), recorded, class_depths_mm=classes)
        return [case.depth_mm for case in shown.cases]

    size = Limit(max_equivalent_diameter_mm=10.0)
    assert depths(size, 2.0) == [2.0]
    assert depths(replace(size, depth_mm=(0.0, 1.5))) == [1.5]
    assert depths(replace(size, depth_mm=(0.0, 4.0)), 2.0) == [2.0]
    assert depths(replace(size, classes=("a", "b")), None, a=1.0, b=3.0) == [3.0]
    assert depths(replace(size, classes=("a",), detect_depth_mm=1.2), None, a=3.0) == [1.2]
    assert depths(Limit(max_number=3, smallest_diameter_mm=5.0), 2.0) == [2.0]


def test_what_criteria_do_not_say_is_missing() -> None:
    recorded = known_setup()
    no_depth = check_shown(Criteria(name="c", limits=(Limit(max_equivalent_diameter_mm=10.0),)), recorded)
    assert "how deep all indications lies" in no_depth.missing[0]
    no_size = check_shown(Criteria(name="c", limits=(Limit(max_number=0),)), recorded)
    assert "smallest_diameter_mm" in no_size.missing[0]
    unknown = RecordedSetup(setup=None, material=None, thickness_mm=None, missing=("material",))
    shown = check_shown(
        Criteria(name="c", limits=(Limit(max_equivalent_diameter_mm=9.0, detect_depth_mm=2.0),)), unknown
    )
    assert shown.cases[0].word == "unknown"
    assert shown.doubts == (
        "whether the recording could have shown what the criteria forbid is not known: material is missing",
    )
    behind = check_shown(
        Criteria(name="c", limits=(Limit(max_equivalent_diameter_mm=9.0, detect_depth_mm=9.0),)), recorded
    )
    assert "no d' could be computed" in behind.doubts[0]
