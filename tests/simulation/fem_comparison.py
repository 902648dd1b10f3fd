"""The solver beside third-party finite elements of the same plates; run it for the tables.

    python tests/simulation/fem_comparison.py FILE.hdf5 ... [--lateral 0.5]

The files are simulations of pyThermoNDT (3-D finite elements, flash of 20 ms on CFRP with an inclusion). They state
geometry, constants and pulse. What they do not state was found from their frames, sound material alone:

* Heat that leaves at the edges of the view. No film does it: the coefficient k dT/dx / T at the edges grows from zero
  to 220 W/(m2 K) along x and, six times later (the ratio of the conductivities), to 29 along y. That is the answer of
  a plate that goes on beyond the view and is heated only so far: a heated square whose half width is fitted.
* Heat that leaves at the faces: one film coefficient for both, fitted too.

The fit takes the sound half of the view; without a defect, the solution is the product of a slab's (one column of the
solver) and of two error functions. Then the solver runs on the whole plate, with the heated square, and is compared.

* The inclusion acts as a resistance th/k without thickness. With its stated volume, the capacity that differs from the
  plate's would leave a negative contrast, a quarter of the peak, to the end of the thin plate's recording, and there
  is none; peaks would be 2.7 and 3.5 times too small. The last column but two of the table shows it.
* The mask is sampled at the far corners of the pixels: the outline covers it best half a pixel further on.

What remains: the scatter of the frames over sound material, which shows the triangles of the mesh (edges of 2 mm and
more; 8 % of the rise at three pulse lengths), waves of up to 1.5 % in time, common to all pixels (the tolerance of an
integrator), and a contrast of the thick plate that is an eighth lower. A conforming mesh can only lower the contrast
of a slit, whose jump ends at nodes: in a cross section of that plate, quadratic elements of 0.6 to 2.4 mm took 2 to 5 %
off, linear ones 13 to 59 %. That the mesh explains the whole difference is likely and not proven.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from fem_cases import Array, Case, Surroundings, edge_films_w_m2k, fit_surroundings, read_case, sound_half
from scipy.ndimage import binary_dilation, map_coordinates

from thermo_qc.simulation import Delamination, Inclusion, Losses, Mark, solve_plate


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Frames of the solver beside those of the finite elements.

    Parameters
    ----------
    case : Case
        The finite elements at the compared times.
    rise_k : ndarray, shape (T, Y, X)
        The solver.
    sound_error : ndarray, shape (T,)
        Mean over sound material: solver over finite elements, less 1.
    contrast_k, fem_contrast_k : ndarray, shape (T,)
        Mean over the middle half of the defect less that over its mirror image in sound material.
    """

    case: Case
    rise_k: Array
    sound_error: Array
    contrast_k: Array
    fem_contrast_k: Array

    def contrast_error(self, start_s: float) -> float:
        """Largest difference of the contrasts over the finite elements' peak, from `start_s` on."""
        late = self.case.times_s >= start_s
        return float(np.abs(self.contrast_k - self.fem_contrast_k)[late].max() / self.fem_contrast_k[late].max())

    @property
    def defect_time_s(self) -> float:
        """Time that heat takes to the defect and back; before it the contrast is the mesh's."""
        case = self.case
        return float(case.inclusion.depth_mm**2 / (4 * case.plate.material.diffusivity_through_mm2_s))


def compare(
    case: Case,
    surroundings: Surroundings,
    *,
    lateral_mm: float,
    depth_cells: int = 28,
    steps: int = 100,
    as_volume: bool = False,
) -> Comparison:
    """Solve the whole plate and compare it with the finite elements at the case's times.

    Parameters
    ----------
    case : Case
        At the times to compare.
    surroundings : Surroundings
        Fitted on sound material.
    lateral_mm : float
        Cell size.
    depth_cells, steps : int
        Cells through the thickness, and longest steps in the recording.
    as_volume : bool
        The inclusion with its stated thickness and capacity rather than as a resistance.
    """
    view, material, half = case.plate, case.plate.material, surroundings.heated_half_mm
    density = 1e-6 * material.density_kg_m3 * material.heat_capacity_j_kgk
    end_s = float(case.times_s[-1])
    reach = [np.sqrt(4 * k / density * end_s) for k in material.conductivities_in_plane_w_mk]
    halves = [float(np.ceil((half + length) / lateral_mm) * lateral_mm) for length in reach]
    shift = halves[0] - view.width_mm / 2, halves[1] - view.height_mm / 2
    place = {"x_mm": case.inclusion.x_mm + shift[0], "y_mm": case.inclusion.y_mm + shift[1]}
    defect: Inclusion | Delamination = replace(case.inclusion, **place)
    if not as_volume:
        defect = _as_resistance(replace(case.inclusion, **place))
    film = surroundings.film_w_m2k
    solution = solve_plate(
        replace(view, width_mm=2 * halves[0], height_mm=2 * halves[1]),
        times_s=case.times_s,
        heating=case.heating,
        losses=Losses(front_w_m2k=film, back_w_m2k=film),
        lateral_mm=lateral_mm,
        depth_cells=depth_cells,
        max_step_s=end_s / steps,
        marks=_shade(halves, half),
        buried=(defect,),
    )
    columns, rows = (
        (case.pixels_mm + offset) / lateral_mm - 0.5 for offset in shift
    )  # cells are square and start at the plate's border
    places = np.meshgrid(rows, columns, indexing="ij")
    rise = np.stack([map_coordinates(np.asarray(f, dtype=np.float64), places, order=3) for f in solution.rise_k])
    return _compared(case, rise)


def _compared(case: Case, rise: Array) -> Comparison:
    sound = ~binary_dilation(case.mask, iterations=round(2.0 / case.pitch_mm))
    middle = replace(
        case.inclusion, width_mm=case.inclusion.width_mm / 2, height_mm=case.inclusion.height_mm / 2
    ).covers(case.pixels_mm, case.pixels_mm[:, None])
    error = rise[:, sound].mean(axis=1) / case.rise_k[:, sound].mean(axis=1) - 1
    ours, theirs = (f[:, middle].mean(axis=1) - f[:, middle[::-1]].mean(axis=1) for f in (rise, case.rise_k))
    return Comparison(case=case, rise_k=rise, sound_error=error, contrast_k=ours, fem_contrast_k=theirs)


def _as_resistance(inclusion: Inclusion) -> Delamination:
    names = ("x_mm", "y_mm", "width_mm", "height_mm", "turn_deg", "outline", "depth_mm")
    resistance = 1e-3 * inclusion.thickness_mm / inclusion.material.conductivity_through_w_mk
    return Delamination(**{name: getattr(inclusion, name) for name in names}, resistance_m2k_w=resistance)


def _shade(halves: Sequence[float], heated: float) -> tuple[Mark, ...]:
    """Four dark rectangles round the heated square of a plate of these half sizes."""
    (x, y), rim = halves, [size - heated for size in halves]
    spans = [(0, rim[0], 0, 2 * y), (2 * x - rim[0], 2 * x, 0, 2 * y)]
    spans += [(rim[0], 2 * x - rim[0], 0, rim[1]), (rim[0], 2 * x - rim[0], 2 * y - rim[1], 2 * y)]
    return tuple(
        Mark(
            x_mm=(left + right) / 2,
            y_mm=(top + bottom) / 2,
            width_mm=right - left,
            height_mm=bottom - top,
            outline="rectangle",
            absorption=0.0,
        )
        for left, right, top, bottom in spans
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables of the files given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--lateral", type=float, default=0.5, help="cell size, mm")
    options = parser.parse_args(arguments)
    for path in options.files:
        whole = read_case(path)
        found = fit_surroundings(whole)
        print(f"{whole.name}: heated half width {found.heated_half_mm:.2f} mm, films {found.film_w_m2k:.2f} W/(m2 K)")
        case = whole.at(float(whole.times_s[-1]), 40)
        films = edge_films_w_m2k(case)
        thin, volume = (compare(case, found, lateral_mm=options.lateral, as_volume=flag) for flag in (False, True))
        print(
            "    time s   sound K   error %   contrast mK: elements  resistance  volume   film at edges x, y W/(m2 K)"
        )
        for i, t in enumerate(case.times_s):
            sound = case.rise_k[i][sound_half(case)].mean()
            print(
                f"{t:10.3f} {sound:9.4f} {100 * thin.sound_error[i]:+9.2f} {1e3 * thin.fem_contrast_k[i]:22.2f} "
                f"{1e3 * thin.contrast_k[i]:11.2f} {1e3 * volume.contrast_k[i]:7.2f} "
                f"{films[i, 0]:16.1f} {films[i, 1]:8.1f}"
            )
        start = thin.defect_time_s
        print(
            f"  sound material: largest error {100 * np.abs(thin.sound_error).max():.2f} %; "
            f"contrast from {start:.2f} s on: within {100 * thin.contrast_error(start):.1f} % of the peak "
            f"(as a volume: {100 * volume.contrast_error(start):.0f} %)"
        )


if __name__ == "__main__":
    main()
