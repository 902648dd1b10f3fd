"""From sequence to sequence: every preparation step, alone or chained by name; quality and registration."""

from thermo_qc.preprocess.cold import cold_frame, subtract_cold_frame
from thermo_qc.preprocess.dead import find_dead_pixels, replace_dead_pixels
from thermo_qc.preprocess.drift import FrameShifts, find_frame_shifts, register_frames
from thermo_qc.preprocess.flicker import find_flickering_pixels, repair_pixels
from thermo_qc.preprocess.heating import DetectedHeating, detect_heating, detect_heating_stop, mark_heating
from thermo_qc.preprocess.normalise import PIXEL_MODES, SEQUENCE_MODES, normalise, normalise_pixels, normalise_sequence
from thermo_qc.preprocess.quality import RecordingQuality, assess_recording
from thermo_qc.preprocess.rectify import rectify
from thermo_qc.preprocess.reference import mean_curve, reference_curve, subtract_reference
from thermo_qc.preprocess.registration import Registration, fit_homography, plate_coordinates
from thermo_qc.preprocess.shutter import ShutterJumps, find_shutter_jumps, remove_shutter_jumps
from thermo_qc.preprocess.smooth_space import smooth_in_space
from thermo_qc.preprocess.smooth_time import smooth_in_time
from thermo_qc.preprocess.statistics import PixelStatistics, estimate_noise, pixel_statistics
from thermo_qc.preprocess.steps import STEPS, prepare_sequence, step_options
from thermo_qc.preprocess.timebase import linear_times_s, log_times_s, resample_times, resampling_matrix
from thermo_qc.preprocess.uniformity import correct_heating_by_early_frames, correct_heating_by_surface

__all__ = [
    "PIXEL_MODES",
    "SEQUENCE_MODES",
    "STEPS",
    "DetectedHeating",
    "FrameShifts",
    "PixelStatistics",
    "RecordingQuality",
    "Registration",
    "ShutterJumps",
    "assess_recording",
    "cold_frame",
    "correct_heating_by_early_frames",
    "correct_heating_by_surface",
    "detect_heating",
    "detect_heating_stop",
    "estimate_noise",
    "find_dead_pixels",
    "find_flickering_pixels",
    "find_frame_shifts",
    "find_shutter_jumps",
    "fit_homography",
    "linear_times_s",
    "log_times_s",
    "mark_heating",
    "mean_curve",
    "normalise",
    "normalise_pixels",
    "normalise_sequence",
    "pixel_statistics",
    "plate_coordinates",
    "prepare_sequence",
    "rectify",
    "reference_curve",
    "register_frames",
    "remove_shutter_jumps",
    "repair_pixels",
    "replace_dead_pixels",
    "resample_times",
    "resampling_matrix",
    "smooth_in_space",
    "smooth_in_time",
    "step_options",
    "subtract_cold_frame",
    "subtract_reference",
]
