"""What a network is told about a plate and its recording besides the curves: seven numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from thermo_qc.representation.time_axis import heating_origin_s
from thermo_qc.sequence import ThermalSequence

__all__ = ["N_FACTS", "lit_until_s", "plate_facts"]

N_FACTS = 7


def lit_until_s(sequence: ThermalSequence) -> float:
    """End of the heating that counts for the bins; those of a step, which never ends, count from its start."""
    if sequence.excitation.kind == "step":
        return 0.0
    return float(heating_origin_s(sequence, "heating_stop"))


def plate_facts(
    sequence: ThermalSequence, *, end_s: float, signal_to_noise: float, known: bool = True
) -> NDArray[np.float32]:
    """Facts that a network may use; those of the material are 0 where material, thickness or pitch are not known.

    Parameters
    ----------
    sequence : ThermalSequence
        Recording.
    end_s : float
        Time of the last frame that is used.
    signal_to_noise : float
        Largest rise of the plate's median curve over the noise of a frame.
    known : bool
        Whether what is known of the material may be used.

    Returns
    -------
    ndarray of float32, shape (7,)
    """
    step = sequence.excitation.kind == "step"
    heated = 0.5 if step else 0.5 * np.log(max(lit_until_s(sequence) / end_s, 3e-3))
    facts = [1.0, 0.5 * (np.log(max(signal_to_noise, 1.0)) - 6.0), heated, 0.0, 0.0, 0.0, 0.0]
    material, thickness, pitch = sequence.material, sequence.thickness_mm, sequence.pixel_pitch_mm
    if known and material is not None and thickness is not None and pitch is not None:
        through, plane = material.diffusivity_through_mm2_s, material.diffusivity_in_plane_mm2_s
        facts[3:] = [
            1.0,
            0.5 * np.log(through * end_s / thickness**2),
            0.25 * np.log(pitch**2 / (plane * end_s)),
            np.log(plane / through),
        ]
    return np.array(facts, dtype=np.float32)
