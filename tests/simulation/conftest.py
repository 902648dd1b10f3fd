"""Small plates and independent references for the simulation tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from thermo_qc.plate import Hole, PlateSpec
from thermo_qc.sequence import Material
from thermo_qc.simulation import Losses

GFRP = Material(
    name="GFRP",
    conductivity_through_w_mk=0.30,
    conductivity_in_plane_w_mk=0.40,
    density_kg_m3=1900.0,
    heat_capacity_j_kgk=1000.0,
)
INSULATED = Losses(front_w_m2k=0.0, back_w_m2k=0.0, hole_floor_w_m2k=0.0)


@pytest.fixture
def gfrp() -> Material:
    return GFRP


@pytest.fixture
def insulated() -> Losses:
    return INSULATED


@pytest.fixture
def make_plate() -> Callable[..., PlateSpec]:
    """Plate of a size with holes (x, y, diameter, ligament)."""

    def make(
        width: float = 40.0,
        height: float = 30.0,
        holes: tuple[tuple[float, float, float, float], ...] = (),
        thickness: float = 17.0,
        material: Material = GFRP,
    ) -> PlateSpec:
        return PlateSpec(
            name="small",
            width_mm=width,
            height_mm=height,
            thickness_mm=thickness,
            material=material,
            holes=tuple(
                Hole(number=i, name=f"H{i}", x_mm=x, y_mm=y, diameter_mm=d, depth_mm=z)
                for i, (x, y, d, z) in enumerate(holes, start=1)
            ),
        )

    return make


@pytest.fixture
def flash_series() -> Callable[..., np.ndarray]:
    """Front face of an insulated plate after a flash (Carslaw and Jaeger; Parker 1961), images of the half-space."""

    def rise(t: np.ndarray, energy: float, thickness: float = 0.017, material: Material = GFRP) -> np.ndarray:
        alpha = 1e-6 * material.diffusivity_through_mm2_s
        n = np.arange(1, 200)[:, None]
        images = 1 + 2 * np.exp(-((n * thickness) ** 2) / (alpha * t)).sum(axis=0)
        return energy / (material.effusivity_w_s05_m2k * np.sqrt(np.pi * t)) * images

    return rise


@pytest.fixture
def pulse_series() -> Callable[..., np.ndarray]:
    """Front face of an insulated plate during and after a pulse: two steps of the plate's cosine series."""

    def step(t: np.ndarray, flux: float, thickness: float) -> np.ndarray:
        t = np.maximum(t, 0.0)
        fourier = 1e-6 * GFRP.diffusivity_through_mm2_s * t / thickness**2
        n = np.arange(1, 4000)[:, None]
        series = (np.exp(-((n * np.pi) ** 2) * fourier) / n**2).sum(axis=0)
        return flux * thickness / GFRP.conductivity_through_w_mk * (fourier + 1 / 3 - 2 / np.pi**2 * series)

    def rise(t: np.ndarray, flux: float, duration: float, thickness: float = 0.017) -> np.ndarray:
        return step(t, flux, thickness) - step(t - duration, flux, thickness)

    return rise
