"""Schema of an inspection's paper side: part, procedure, equipment, surface, people; whatever is blank is missing."""

from __future__ import annotations

from pathlib import Path

from thermo_qc.config.base import Strict

__all__ = [
    "EquipmentConfig",
    "ExcitationRecordConfig",
    "PartConfig",
    "PeopleConfig",
    "ProcedureConfig",
    "ProcedureRecordConfig",
    "SurfaceConfig",
]

Field = str | int | float | None


class PartConfig(Strict):
    """The object."""

    designation: Field = None
    drawing: Field = None
    serial_number: Field = None
    customer: Field = None
    order: Field = None
    material_and_layup: Field = None
    manufacturing_state: Field = None
    inspected_face: Field = None
    inspected_area: Field = None
    expected_discontinuities: Field = None


class ProcedureRecordConfig(Strict):
    """Standard, instruction, extent."""

    standard: Field = None
    instruction: Field = None
    revision: Field = None
    purpose: Field = None
    reference_sample: Field = None
    arrangement: Field = None
    deviations: Field = None
    raw_data_kept_at: Field = None


class EquipmentConfig(Strict):
    """Camera, lens, software, calibration."""

    camera: Field = None
    camera_serial_number: Field = None
    spectral_band: Field = None
    lens: Field = None
    integration_time: Field = None
    temperature_range: Field = None
    calibrated_until: Field = None
    distance: Field = None
    viewing_angle: Field = None
    field_of_view: Field = None
    acquisition_software: Field = None


class ExcitationRecordConfig(Strict):
    """Source of heat."""

    source: Field = None
    source_serial_number: Field = None
    energy_or_power: Field = None
    duration: Field = None
    distance: Field = None
    shielding_and_filters: Field = None


class SurfaceConfig(Strict):
    """Surface and surroundings."""

    condition: Field = None
    coating: Field = None
    emissivity: Field = None
    ambient_temperature: Field = None
    relative_humidity: Field = None
    interfering_radiation: Field = None


class PeopleConfig(Strict):
    """Who, where, when."""

    place: Field = None
    date: Field = None
    inspector: Field = None
    inspector_qualification: Field = None
    supervisor: Field = None
    organisation: Field = None


class ProcedureConfig(Strict):
    """Everything that a report should state and no recording knows.

    The fields follow the reporting clauses of EN 17119 and ASTM E2582 in their sense; neither text is repeated here,
    and a complete form is no statement of conformity. `pod` names a run folder of ``cv`` or ``evaluate`` whose POD is
    shown; relative to the file.
    """

    part: PartConfig = PartConfig()
    procedure: ProcedureRecordConfig = ProcedureRecordConfig()
    equipment: EquipmentConfig = EquipmentConfig()
    excitation: ExcitationRecordConfig = ExcitationRecordConfig()
    surface: SurfaceConfig = SurfaceConfig()
    people: PeopleConfig = PeopleConfig()
    pod: Path | None = None
