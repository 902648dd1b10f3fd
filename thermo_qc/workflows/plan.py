"""``thermo-qc plan``: what a set-up can show of a material, before an inspection."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from thermo_qc.errors import ConfigError, OutputError
from thermo_qc.evaluation import (
    DepthPlan,
    DetectionLimits,
    InspectionSetup,
    WantedHole,
    best_pulse,
    recording_needed,
    render_table,
    smallest_diameters,
)
from thermo_qc.io import write_json, write_text
from thermo_qc.plate import load_material
from thermo_qc.report.plan_chart import draw_plan
from thermo_qc.sequence import Material

__all__ = ["FILES", "Plan", "render", "run"]

FILES = ("plan.json", "plan.csv", "plan.png")
_N_DEPTHS = 9
_PULSE_SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)  # of the time depth^2 / diffusivity
_LONGEST_SHARE = 4.0
_COLUMNS = ("depth_mm", "detectable_mm", "visible_mm", "depth_bound_mm", "depth_bound_joint_mm")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Smallest holes that a set-up shows at each depth.

    Parameters
    ----------
    material : Material
        Constants.
    thickness_mm : float
        Of the plate.
    setup : InspectionSetup
        Heating, losses, camera, recording.
    limits : DetectionLimits
        Of d'.
    smallest_mm, largest_mm : float
        Diameters between which was searched.
    depths : tuple of DepthPlan
        Rising depth.
    wanted : WantedHole or None
        The hole that somebody wants to see.
    """

    material: Material
    thickness_mm: float
    setup: InspectionSetup
    limits: DetectionLimits
    smallest_mm: float
    largest_mm: float
    depths: tuple[DepthPlan, ...]
    wanted: WantedHole | None


def run(
    material: str | Path,
    thickness_mm: float,
    *,
    setup: InspectionSetup | None = None,
    limits: DetectionLimits | None = None,
    depths_mm: Sequence[float] = (),
    smallest_mm: float | None = None,
    largest_mm: float = 100.0,
    wanted_depth_mm: float | None = None,
    wanted_diameter_mm: float | None = None,
    pulses_s: Sequence[float] = (),
    longest_s: float | None = None,
    max_rise_k: float = 50.0,
    output: Path | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Plan:
    """Plan an inspection.

    Parameters
    ----------
    material : str or Path
        "GFRP", "CFRP", or a YAML file of thermal constants.
    thickness_mm : float
        Thickness of the plate.
    setup : InspectionSetup, optional
        1 kW/m2 for 60 s, 400 s recorded at 1 Hz, 25 mK, 2 mm per pixel.
    limits : DetectionLimits, optional
        6.5 and 30.
    depths_mm : sequence of float
        Depths of the table; nine from a tenth to nine tenths of the thickness when empty.
    smallest_mm : float, optional
        Smallest diameter to think of; one pixel when None.
    largest_mm : float
        Largest one.
    wanted_depth_mm, wanted_diameter_mm : float, optional
        A hole that must be detectable: for it the pulse and the recording time are found. Without a diameter it is
        twice the depth.
    pulses_s : sequence of float
        Pulses to try for it; fractions of the time that heat takes to its depth when empty.
    longest_s : float, optional
        Longest recording to try; four times that time, at least the recording of the set-up, when None.
    max_rise_k : float
        Largest rise that the surface may take.
    output : Path, optional
        Folder for plan.json, plan.csv and plan.png.
    overwrite : bool
        Replace them.
    progress : callable, optional
        Called with the number of finished and of all steps.

    Returns
    -------
    Plan

    Raises
    ------
    InputError, ConfigError
        When the material, a number or their combination cannot be used.
    OutputError
        When the files exist or cannot be written.
    """
    constants = load_material(material)
    setup, limits = setup or InspectionSetup(), limits or DetectionLimits()
    if wanted_depth_mm is None and (wanted_diameter_mm is not None or pulses_s or longest_s is not None):
        raise ConfigError("a wanted diameter, pulses or a longest recording belong to a wanted depth; give it as well")
    if output is not None:
        _check_output(output, overwrite)
    depths = sorted(set(depths_mm)) or [thickness_mm * share / (_N_DEPTHS + 1) for share in range(1, _N_DEPTHS + 1)]
    total = len(depths) + (wanted_depth_mm is not None)
    smallest = setup.pixel_pitch_mm if smallest_mm is None else smallest_mm
    wanted = None
    if wanted_depth_mm is not None:
        wanted = _wanted(
            constants,
            thickness_mm,
            setup,
            limits.detectable,
            depth_mm=wanted_depth_mm,
            diameter_mm=2 * wanted_depth_mm if wanted_diameter_mm is None else wanted_diameter_mm,
            pulses_s=pulses_s,
            longest_s=longest_s,
            max_rise_k=max_rise_k,
        )
    plans = smallest_diameters(
        constants,
        thickness_mm=thickness_mm,
        depths_mm=depths,
        setup=setup,
        limits=limits,
        smallest_mm=smallest,
        largest_mm=largest_mm,
        progress=None if progress is None else lambda done, _: progress(done + (wanted is not None), total),
    )
    plan = Plan(
        material=constants,
        thickness_mm=thickness_mm,
        setup=setup,
        limits=limits,
        smallest_mm=smallest,
        largest_mm=largest_mm,
        depths=plans,
        wanted=wanted,
    )
    if output is not None:
        _write(plan, output)
    return plan


def _wanted(
    material: Material,
    thickness_mm: float,
    setup: InspectionSetup,
    d_prime: float,
    *,
    depth_mm: float,
    diameter_mm: float,
    pulses_s: Sequence[float],
    longest_s: float | None,
    max_rise_k: float,
) -> WantedHole:
    if not 0 < depth_mm < thickness_mm:
        raise ConfigError(
            f"the wanted depth {depth_mm:g} mm is not inside a plate of {thickness_mm:g} mm; give one that is"
        )
    if not max_rise_k > 0:
        raise ConfigError(f"the largest rise of the surface is {max_rise_k:g} K, expected a positive number")
    time = depth_mm**2 / material.diffusivity_through_mm2_s
    longest = max(setup.duration_s, _round(_LONGEST_SHARE * time)) if longest_s is None else longest_s
    pulses = sorted({setup.heating.duration_s, *(_round(share * time) for share in _PULSE_SHARES)})
    needs = recording_needed(
        material,
        thickness_mm=thickness_mm,
        depth_mm=depth_mm,
        diameter_mm=diameter_mm,
        setup=setup,
        wanted_d_prime=d_prime,
        pulses_s=sorted(set(pulses_s)) or [pulse for pulse in pulses if pulse < longest],
        longest_s=longest,
    )
    return WantedHole(
        depth_mm=depth_mm,
        diameter_mm=diameter_mm,
        needs=needs,
        best=best_pulse(needs, max_rise_k=max_rise_k),
        longest_s=longest,
        max_rise_k=max_rise_k,
    )


def _round(value: float) -> float:
    return float(f"{value:.2g}")


def _check_output(folder: Path, overwrite: bool) -> None:
    if folder.is_file():
        raise OutputError(f"{folder} is a file, expected a folder for {', '.join(FILES)}; name another one")
    there = [name for name in FILES if (folder / name).exists()]
    if there and not overwrite:
        raise OutputError(f"{folder / there[0]} exists; choose another folder or pass --overwrite")


def _write(plan: Plan, folder: Path) -> None:
    write_json(folder / FILES[0], asdict(plan) | {"noise_k": plan.setup.noise_k})
    table = io.StringIO()
    rows = csv.DictWriter(table, [*_COLUMNS, "detectable", "visible"], lineterminator="\n")
    rows.writeheader()
    for depth in plan.depths:
        values = {name: f"{getattr(depth, name):.6g}" for name in _COLUMNS}
        words = {"detectable": _size(plan, depth.detectable_mm), "visible": _size(plan, depth.visible_mm)}
        rows.writerow({name: "" if value == "nan" else value for name, value in values.items()} | words)
    write_text(folder / FILES[1], table.getvalue())
    draw_plan(
        plan.depths,
        limits=plan.limits,
        thickness_mm=plan.thickness_mm,
        smallest_mm=plan.smallest_mm,
        largest_mm=plan.largest_mm,
        wanted=plan.wanted,
        title=_headline(plan),
        path=folder / FILES[2],
    )


def _size(plan: Plan, diameter_mm: float) -> str:
    """Diameter as people write it, with "at most" and "more than" at the ends of the search."""
    if np.isnan(diameter_mm):
        return f"> {plan.largest_mm:g}"
    return f"<= {plan.smallest_mm:g}" if diameter_mm <= plan.smallest_mm else f"{diameter_mm:.1f}"


def render(plan: Plan) -> str:
    """Write a plan as text for terminals."""
    limits = plan.limits
    rows = [
        {
            "depth mm": f"{depth.depth_mm:.2f}",
            f"detectable (d' >= {limits.detectable:g}) mm": _size(plan, depth.detectable_mm),
            f"visible (d' >= {limits.visible:g}) mm": _size(plan, depth.visible_mm),
            "depth known to mm": _bound(depth.depth_bound_mm),
            "size unknown mm": _bound(depth.depth_bound_joint_mm),
        }
        for depth in plan.depths
    ]
    lines = [
        _headline(plan),
        "",
        "Smallest diameter of a flat-bottom hole, and how well the depth of the smallest detectable one can be known:",
        "",
        render_table(rows, list(rows[0])),
    ]
    return "\n".join(lines + (_wanted_lines(plan) if plan.wanted is not None else []))


def _headline(plan: Plan) -> str:
    """Say in a line what was planned with."""
    heating, setup = plan.setup.heating, plan.setup
    until = "to the end" if heating.stop_s is None else f"for {heating.stop_s:g} s"
    flash = f"flash of {heating.energy_j_m2:g} J/m²"
    heat = flash if heating.kind == "flash" else f"{heating.flux_w_m2:g} W/m² {until}"
    return (
        f"{plan.material.name}, {plan.thickness_mm:g} mm; {heat}; "
        f"{setup.duration_s:g} s at {setup.frame_rate_hz:g} Hz, "
        f"{1e3 * setup.noise_k:.3g} mK, {setup.pixel_pitch_mm:g} mm per pixel"
    )


def _bound(value: float) -> str | None:
    return None if not np.isfinite(value) else f"{value:.2g}"


def _wanted_lines(plan: Plan) -> list[str]:
    wanted, limits = plan.wanted, plan.limits
    assert wanted is not None
    rows = [
        {
            "pulse s": {0.0: "flash", np.inf: "to the end"}.get(need.pulse_s, f"{need.pulse_s:g}"),
            "recording s": f"> {wanted.longest_s:g}" if np.isnan(need.recording_s) else f"{need.recording_s:.0f}",
            "d'": f"{need.d_prime:.1f}",
            "surface rise K": f"{need.peak_rise_k:.1f}",
        }
        for need in wanted.needs
    ]
    hole = f"{wanted.diameter_mm:g} mm at {wanted.depth_mm:g} mm"
    lines = ["", f"To detect (d' >= {limits.detectable:g}) a hole of {hole}:"]
    lines += ["", render_table(rows, list(rows[0])), ""]
    if wanted.best is None:
        return [
            *lines,
            f"No recording of up to {wanted.longest_s:g} s with a surface rise of up to {wanted.max_rise_k:g} K "
            "shows it; heat with more power, take a quieter camera or record for longer.",
        ]
    best = wanted.best
    pulse = {0.0: "a flash", np.inf: "heating to the end"}.get(best.pulse_s, f"a pulse of {best.pulse_s:g} s")
    return [*lines, f"Shortest: {pulse}, {best.recording_s:.0f} s recorded."]
