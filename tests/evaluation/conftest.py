"""A small plate with four holes in two depth classes, recorded straight, turned, mirrored or at another pitch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from thermo_qc.evaluation import FoldItem
from thermo_qc.plate import ClassScheme, Hole, PlateSpec, pixel_centres_mm
from thermo_qc.sequence import Defect, Material, Truth

MATERIAL = Material(
    name="GFRP",
    conductivity_through_w_mk=0.3,
    conductivity_in_plane_w_mk=0.4,
    density_kg_m3=1900.0,
    heat_capacity_j_kgk=1000.0,
)
DEPTHS = ClassScheme(name="depths", class_names=("sound", "near", "deep"), max_depth_mm=(2.0, 10.0))
HOLES = ((25.0, 20.0, 14.0, 1.0), (75.0, 22.0, 10.0, 5.0), (25.0, 60.0, 10.0, 5.0), (80.0, 58.0, 14.0, 1.0))


@pytest.fixture(scope="session")
def scheme() -> ClassScheme:
    return DEPTHS


@pytest.fixture(scope="session")
def plate() -> PlateSpec:
    holes = tuple(
        Hole(number=n, name=f"H{n}", x_mm=x, y_mm=y, diameter_mm=d, depth_mm=z)
        for n, (x, y, d, z) in enumerate(HOLES, start=1)
    )
    return PlateSpec(
        name="small",
        width_mm=100.0,
        height_mm=80.0,
        thickness_mm=12.0,
        material=MATERIAL,
        holes=holes,
        schemes={"depths": DEPTHS},
        edge_margin_mm=2.0,
    )


@pytest.fixture(scope="session")
def make_item(plate: PlateSpec) -> Callable[..., FoldItem]:
    """Build a `FoldItem` of the plate; `turns` quarter turns after mirroring, coordinates only when asked for."""

    def build(
        key: str,
        *,
        pitch_mm: float = 2.0,
        turns: int = 0,
        mirrored: bool = False,
        coordinates: bool = False,
        **facts: object,
    ) -> FoldItem:
        def turned(grid: np.ndarray) -> np.ndarray:
            return np.rot90(grid[:, ::-1] if mirrored else grid, turns).copy()

        straight = plate.truth(pitch_mm)
        truth = replace(straight, defect_index=turned(straight.defect_index), depth_mm=turned(straight.depth_mm))
        x, y = (turned(grid) for grid in pixel_centres_mm(straight.shape, pitch_mm))
        given = {
            "acquisition": key,
            "plate": "small",
            "condition": "long pulse",
            "pixel_pitch_mm": pitch_mm,
            "guard_mm": 8.0,
        }
        if coordinates:
            given |= {"x_mm": x, "y_mm": y}
        given |= {"truth": truth, "class_map": DEPTHS.class_map(truth)}
        return FoldItem(key=key, **{**given, **facts})  # type: ignore[arg-type]

    return build


@pytest.fixture(scope="session")
def truth_of() -> Callable[..., Truth]:
    """Build a `Truth` from a defect index map; defect n is n mm deep."""

    def build(index: np.ndarray, **facts: object) -> Truth:
        index = np.asarray(index, dtype=np.int16)
        numbers = [int(n) for n in np.unique(index) if n > 0]
        defects = tuple(Defect(number=n, depth_mm=float(n), **facts) for n in numbers)  # type: ignore[arg-type]
        return Truth(defect_index=index, depth_mm=np.where(index > 0, index, np.nan), defects=defects)

    return build
