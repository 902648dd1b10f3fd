"""Preparation steps by name, run one after another."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_type_hints

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter, ValidationError

from thermo_qc.errors import ConfigError, choose, suggestion
from thermo_qc.preprocess.cold import subtract_cold_frame
from thermo_qc.preprocess.dead import replace_dead_pixels
from thermo_qc.preprocess.drift import register_frames
from thermo_qc.preprocess.flicker import repair_pixels
from thermo_qc.preprocess.heating import mark_heating
from thermo_qc.preprocess.normalise import normalise
from thermo_qc.preprocess.reference import subtract_reference
from thermo_qc.preprocess.shutter import remove_shutter_jumps
from thermo_qc.preprocess.smooth_space import smooth_in_space
from thermo_qc.preprocess.smooth_time import smooth_in_time
from thermo_qc.preprocess.timebase import resample_times
from thermo_qc.preprocess.uniformity import correct_heating_by_early_frames, correct_heating_by_surface
from thermo_qc.sequence import ThermalSequence

__all__ = ["STEPS", "prepare_sequence", "step_options"]

Step = Callable[..., ThermalSequence]

STEPS: dict[str, Step] = {
    "heating": mark_heating,
    "shutter": remove_shutter_jumps,
    "dead_pixels": replace_dead_pixels,
    "bad_pixels": repair_pixels,
    "drift": register_frames,
    "cold_frame": subtract_cold_frame,
    "early_frames": correct_heating_by_early_frames,
    "surface": correct_heating_by_surface,
    "smooth_time": smooth_in_time,
    "smooth_space": smooth_in_space,
    "reference": subtract_reference,
    "resample": resample_times,
    "normalise": normalise,
}


def step_options(name: str) -> dict[str, Any]:
    """Give the options of a step and their types, in the order of its function.

    Parameters
    ----------
    name : str
        One of `STEPS`.

    Returns
    -------
    dict of str to type

    Raises
    ------
    UnknownNameError
        When there is no such step.
    """
    function = choose(STEPS, name, "preparation step")
    hints = get_type_hints(function)
    return {option: hints[option] for option in list(inspect.signature(function).parameters)[1:]}


def prepare_sequence(
    sequence: ThermalSequence, steps: Sequence[str | tuple[str, Mapping[str, Any]]]
) -> ThermalSequence:
    """Run preparation steps in the given order.

    Steps and options are checked before the first one runs. A sensible order is that of `STEPS`: the shutter's jumps
    before anything that looks at curves, bad pixels before the frames are moved or smoothed, the cold frame before the
    heating is made even.

    Parameters
    ----------
    sequence : ThermalSequence
        Recording.
    steps : sequence of str or (str, mapping)
        Names from `STEPS`, with the keywords of their functions where the defaults do not do.

    Returns
    -------
    ThermalSequence
        With one more history entry for every step.

    Raises
    ------
    UnknownNameError
        When there is no such step.
    ConfigError
        When a step has no such option, lacks one that it needs, or the option's value is of another type.

    Examples
    --------
    >>> import numpy as np
    >>> frames = np.array([20.0, 25.0, 23.0]).reshape(3, 1, 1)
    >>> recording = ThermalSequence(frames=frames, times_s=np.array([-1.0, 0.0, 1.0]), unit="degC")
    >>> prepared = prepare_sequence(recording, ["cold_frame", ("smooth_space", {"size_px": 2})])
    >>> [entry.step for entry in prepared.history]
    ['subtract_cold_frame', 'smooth_in_space']
    """
    pairs = [_pair(step) for step in steps]
    checked = [(choose(STEPS, name, "preparation step"), _checked(name, options)) for name, options in pairs]
    for function, options in checked:
        sequence = function(sequence, **options)
    return sequence


def _pair(step: Any) -> tuple[str, Mapping[str, Any]]:
    if isinstance(step, str):
        return step, {}
    if isinstance(step, tuple | list) and len(step) == 2 and isinstance(step[1], Mapping):
        return str(step[0]), step[1]
    raise ConfigError(f"a preparation step is {step!r}, expected a name, or a name and its options")


def _checked(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    known = step_options(name)
    parameters = inspect.signature(STEPS[name]).parameters
    for option in options:
        if option not in known:
            near = suggestion(str(option), known) if known else "; it has none"
            raise ConfigError(f"step '{name}' has no option '{option}'{near}")
    for option in known:
        if parameters[option].default is inspect.Parameter.empty and option not in options:
            raise ConfigError(f"step '{name}' needs the option '{option}'; give it a value")
    return {option: _value(name, option, known[option], value) for option, value in options.items()}


def _value(name: str, option: str, hint: Any, value: Any) -> Any:
    """Bring a value to the type of its option; an array may come as a list."""
    if "ndarray" in str(hint):
        return _array(name, option, hint, value)
    try:
        return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True)).validate_python(value)
    except ValidationError as error:
        said = error.errors()[0]["msg"]
        raise ConfigError(f"option '{option}' of step '{name}' is {value!r}: {said}") from error


def _array(name: str, option: str, hint: Any, value: Any) -> NDArray[Any] | None:
    if value is None and "None" in str(hint):
        return None
    wanted = bool if "bool" in str(hint) else float
    array = np.asarray(value)
    if array.dtype.kind not in ("b" if wanted is bool else "fiu"):
        raise ConfigError(f"option '{option}' of step '{name}' holds {array.dtype}, expected {wanted.__name__} values")
    return array.astype(wanted)
