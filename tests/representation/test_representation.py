from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.config import RepresentationConfig
from thermo_qc.errors import ConfigError, MissingFactError, ModelError, SequenceError
from thermo_qc.representation import Representation, TimeAxis

SHORT = TimeAxis(n_steps=12)
NORMALISATIONS = ("none", "pixel_standard", "pixel_minmax", "pixel_mean", "sequence_standard", "sequence_minmax")


def difference(**changes: object) -> Representation:
    return Representation(**{"time": SHORT, "channels": ("difference",), "scale": "none", **changes})  # type: ignore[arg-type]


def test_shapes_types_and_counts_agree(recording):
    sequence = recording(noise_k=0.02)
    recipe = Representation(time=SHORT, features=("frames", "tsr", "pct"), pct_components=3).fit([sequence])
    mask = np.zeros(sequence.frame_shape, dtype=bool)
    mask[3, 4:9] = True
    stack, curves = recipe.stack(sequence), recipe.curves(sequence, mask)
    assert stack.shape == (recipe.n_stack_channels, 24, 30) == (24 + 6 + 3, 24, 30)
    assert curves.shape == (5, recipe.n_steps, recipe.n_curve_channels) == (5, 12, 2)
    assert stack.dtype == curves.dtype == np.float32
    assert np.isfinite(stack).all()
    # Channel after channel, step after step: pixel (3, 4) is the same in both.
    assert pytest.approx(curves[0]) == stack[:24, 3, 4].reshape(2, 12).T


def test_curves_follow_the_mask_row_by_row(recording):
    sequence = recording(noise_k=0.02)
    recipe = difference()
    everything = recipe.curves(sequence)
    mask = np.random.default_rng(0).random(sequence.frame_shape) < 0.2
    assert np.array_equal(recipe.curves(sequence, mask), everything[mask.ravel()])


@given(power=st.floats(0.2, 5.0))
@settings(deadline=None, max_examples=5)
def test_power_does_not_change_gain_normalised_channels(recording, power):
    recipe = difference(channels=("value", "difference", "log_derivative"), replace_dead=False)
    assert recipe.stack(recording(power=power)) == pytest.approx(recipe.stack(recording()), abs=3e-3)


def test_frame_rate_does_not_change_the_channels(recording):
    recipe = difference(channels=("value", "difference"))
    slow, fast = recipe.stack(recording(frame_rate_hz=0.5)), recipe.stack(recording(frame_rate_hz=4.0))
    assert slow == pytest.approx(fast, abs=0.02)
    assert np.abs(recipe.stack(recording(frame_rate_hz=2.0)) - fast)[:, :6].max() < 0.02


def test_uneven_light_leaves_no_trace_in_the_difference(recording, disc):
    recipe = difference()
    even, uneven = recipe.stack(recording()), recipe.stack(recording(lamp=0.6))
    assert np.abs(uneven[:, ~disc]).max() < 1e-3
    assert np.abs(uneven[:, disc]).max() > 0.02
    assert uneven == pytest.approx(even, abs=2e-3)


@pytest.mark.parametrize("normalise", NORMALISATIONS)
def test_every_normalisation_shows_the_defect_in_the_difference(recording, disc, normalise):
    stack = difference(normalise=normalise).stack(recording(lamp=0.3, noise_k=0.005))
    peak = np.abs(stack).max(axis=0)
    assert np.median(peak[disc]) > 5 * np.median(peak[~disc])


def test_noise_falls_where_steps_hold_many_frames(recording):
    sequence = recording(noise_k=0.03, frame_rate_hz=4.0, shape=(30, 40), defect_k=0.0, cold_s=100.0)
    values = difference(normalise="none", time=TimeAxis(n_steps=12)).stack(sequence)
    spread = values.std(axis=(1, 2))
    assert spread[-1] < 0.4 * spread[0]


@pytest.mark.parametrize("channel", ["difference", "value", "log_derivative"])
def test_scale_noise_gives_unit_noise_at_every_step(recording, channel):
    sequence = recording(noise_k=0.03, frame_rate_hz=2.0, shape=(40, 40), defect_k=0.0, cold_s=20.0)
    recipe = difference(channels=(channel,), scale="noise").fit([sequence])
    assert recipe.stack(sequence).std(axis=(1, 2)) == pytest.approx(np.ones(12), rel=0.25)


def test_arcsinh_is_that_of_the_noise_scale(recording):
    sequence = recording(noise_k=0.02)
    plain, squeezed = (difference(scale=scale).stack(sequence) for scale in ("noise", "noise_arcsinh"))
    assert squeezed == pytest.approx(np.arcsinh(plain), abs=1e-5)


def test_a_noise_free_recording_stays_finite(recording):
    assert np.isfinite(difference(scale="noise", features=("frames", "tsr", "pct")).stack(recording())).all()


def test_channel_standard_is_zero_mean_and_unit_deviation_on_the_training_pixels(recording):
    sequences = [recording(noise_k=0.02, lamp=lamp, seed=seed) for seed, lamp in enumerate((0.0, 0.3))]
    recipe = Representation(time=SHORT, features=("frames", "tsr"), replace_dead=False).fit(sequences)
    both = np.concatenate(
        [recipe.stack(sequence).reshape(recipe.n_stack_channels, -1) for sequence in sequences], axis=1
    )
    assert both.mean(axis=1) == pytest.approx(np.zeros(len(both)), abs=1e-3)
    assert both.std(axis=1) == pytest.approx(np.ones(len(both)), abs=1e-3)


def test_fitting_sees_the_masked_pixels_alone(recording, disc):
    sequence = recording(noise_k=0.02, defect_k=2.0)
    everywhere, sound = Representation(time=SHORT).fit([sequence]), Representation(time=SHORT).fit([sequence], [~disc])
    assert sound.fitted["difference_scale"].max() < 0.5 * everywhere.fitted["difference_scale"].max()


def test_pca_decorrelates_the_training_curves(recording):
    sequence = recording(noise_k=0.05)
    recipe = Representation(time=SHORT, pca_components=4, replace_dead=False).fit([sequence])
    curves = recipe.curves(sequence)
    assert curves.shape == (720, 4, 1)
    assert np.cov(curves[:, :, 0].T, bias=True) == pytest.approx(np.eye(4), abs=1e-3)
    assert pytest.approx(curves[:, :, 0], abs=1e-5) == recipe.stack(sequence).reshape(4, -1).T


def test_flattening_removes_what_lateral_smoothness_left(recording):
    sequence = recording(noise_k=0.002, shape=(40, 60), defect_k=0.0)
    slope = np.linspace(0, 0.5, 60) * np.linspace(0, 1, sequence.n_frames)[:, None, None]
    tilted = replace(sequence, frames=(sequence.frames + slope).astype(np.float32))
    rough = difference(replace_dead=False).stack(tilted)
    flat = difference(flatten_background_px=10.0, replace_dead=False).stack(tilted)
    assert flat[:, 5:-5, 10:-10].std() < 0.3 * rough[:, 5:-5, 10:-10].std()


def test_dead_pixels_are_replaced_when_asked(recording):
    sequence = recording(noise_k=0.01)
    frames = sequence.frames.copy()
    frames[:, 5, 6] = np.nan
    frames[:, 10, 20] += np.random.default_rng(3).normal(0, 40, len(frames))
    broken = replace(sequence, frames=frames)
    healed = difference().stack(broken)
    assert np.abs(healed[:, 5, 6]).max() < 0.05 and np.abs(healed[:, 10, 20]).max() < 0.05
    assert healed[:, 5, 6].any()
    left = difference(replace_dead=False).stack(broken)
    assert not left[:, 5, 6].any()
    assert np.abs(left[:, 10, 20]).max() > 0.05


def test_pixels_outside_the_plate_are_zero_and_have_no_part(recording):
    sequence = recording(noise_k=0.01)
    region = np.zeros(sequence.frame_shape, dtype=bool)
    region[2:-2, 2:-2] = True
    noise = np.random.default_rng(1).normal(22, 0.01, sequence.frames.shape).astype(np.float32)
    framed = replace(sequence, frames=np.where(region, sequence.frames, noise))
    stack = difference(replace_dead=False).stack(framed)
    assert not stack[:, ~region].any()
    assert stack[:, region] == pytest.approx(
        difference(replace_dead=False).stack(sequence, region=region)[:, region], abs=1e-4
    )


def test_cold_frames_are_subtracted_or_the_history_says_why_not(recording):
    from thermo_qc.representation.prepare import prepare

    sequences = {
        "cold": recording(),
        "ambient": recording(cold_s=0.0, ambient_c=22.0),
        "none": recording(cold_s=0.0),
    }
    steps = {name: [entry.step for entry in prepare(one, time=SHORT).history] for name, one in sequences.items()}
    assert "subtract_cold_frame" in steps["cold"]
    assert "subtract_ambient" in steps["ambient"]
    assert "no_cold_frame" in steps["none"]
    assert "subtract_cold_frame" not in [e.step for e in prepare(recording(), time=SHORT, subtract_cold=False).history]
    warm, ambient = (prepare(s, time=SHORT).rise for s in (recording(), recording(cold_s=0.0, ambient_c=22.0)))
    assert warm == pytest.approx(ambient, abs=1e-3)


def test_two_frames_take_the_stated_noise(recording):
    from thermo_qc.representation.prepare import prepare

    sequence = recording(cold_s=0.0, frame_rate_hz=0.01, end_s=101.0, stop_s=None, netd_k=0.5)
    flash = replace(sequence, excitation=replace(sequence.excitation, kind="flash"))
    axis = TimeAxis(unit="s", start=0.0, end=100.0, n_steps=2, spacing="linear")
    assert prepare(flash, time=axis, replace_dead=False).white_noise == pytest.approx([0.5, 0.5])


def test_a_sound_region_replaces_the_median(recording, disc):
    sequence = recording(noise_k=0.002)
    recipe = difference(reference="sound")
    with pytest.raises(MissingFactError, match="give its mask"):
        recipe.stack(sequence)
    with pytest.raises(SequenceError, match="sound mask has shape"):
        recipe.stack(sequence, sound_mask=np.ones((2, 2), dtype=bool))
    with pytest.raises(SequenceError, match="sound region has no pixel"):
        recipe.stack(sequence, sound_mask=np.zeros(sequence.frame_shape, dtype=bool))
    by_sound = recipe.stack(sequence, sound_mask=~disc)
    by_defect = recipe.stack(sequence, sound_mask=disc)
    assert np.abs(by_sound[:, ~disc]).mean() < 0.5 * np.abs(by_defect[:, ~disc]).mean()
    fitted = difference(reference="sound", scale="channel_standard").fit([sequence], sound_masks=[~disc])
    assert fitted.curves(sequence, sound_mask=~disc).shape == (720, 12, 1)


def test_the_truth_is_never_looked_at(recording, disc):
    from thermo_qc.sequence import Defect, Truth

    sequence = recording(noise_k=0.01)
    index = np.where(disc, 1, 0).astype(np.int16)
    index[:5] = -1
    truth = Truth(
        defect_index=index,
        depth_mm=np.full(disc.shape, np.nan, dtype=np.float32),
        defects=(Defect(number=1, depth_mm=None),),
    )
    recipe = Representation(time=SHORT).fit([sequence])
    assert np.array_equal(recipe.stack(sequence), recipe.stack(replace(sequence, truth=truth)))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"scale": "noise_arcsinh", "channels": ("value", "log_derivative")},
        {"pca_components": 3, "features": ("frames", "pct"), "pct_components": 2},
        {"scale": "none", "channels": ("difference",), "time": TimeAxis(unit="s", start=1, end=100, n_steps=9)},
    ],
)
def test_saved_and_rebuilt_it_does_the_same(recording, changes):
    sequence = recording(noise_k=0.02)
    recipe = Representation(**{"time": SHORT, **changes}).fit([sequence])
    again = Representation.from_saved(json.loads(json.dumps(recipe.to_metadata())), recipe.arrays())
    assert np.array_equal(again.stack(sequence), recipe.stack(sequence))
    assert np.array_equal(again.curves(sequence), recipe.curves(sequence))


def test_every_field_of_the_configuration_arrives():
    config = RepresentationConfig(
        subtract_cold=False, replace_dead=False, normalise="none", reference="sound", scale="noise", tsr_order=4,
        channels=("difference",), flatten_background_px=3, features=("tsr",), pct_components=2, pca_components=7,
    )  # fmt: skip
    recipe = Representation.from_config(config)
    content = {**recipe.to_metadata(), "channels": recipe.channels, "features": recipe.features}
    content.pop("format_version")
    assert content == config.model_dump()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 99}, "format version 99"),
        ({"scale": "magic"}, "broken: representation.scale is 'magic'"),
        ({"surprise": 1}, "broken"),
        ({"time": {"n_steps": 5, "when": 1}}, "broken"),
    ],
)
def test_broken_descriptions_are_refused(recording, change, message):
    recipe = Representation(time=SHORT).fit([recording()])
    with pytest.raises(ModelError, match=message):
        Representation.from_saved({**recipe.to_metadata(), **change}, recipe.arrays())


def test_arrays_of_another_recipe_are_refused(recording):
    recipe = Representation(time=SHORT).fit([recording()])
    with pytest.raises(ModelError, match="arrays are"):
        Representation.from_saved(recipe.to_metadata(), {"value_scale": np.ones(3)})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"normalise": "lamp"}, "representation.normalise is 'lamp'"),
        ({"scale": "lamp"}, "representation.scale is 'lamp'"),
        ({"reference": "lamp"}, "representation.reference is 'lamp'"),
        ({"channels": ()}, "representation.channels is"),
        ({"channels": ("value", "value")}, "each once"),
        ({"features": ("ppt",)}, "representation.features is"),
        ({"reference": "none"}, "channel 'difference' needs a reference"),
        ({"features": ("tsr",), "tsr_order": 9, "time": TimeAxis(n_steps=8)}, "needs 11 time steps"),
        ({"features": ("pct",), "pct_components": 9, "time": TimeAxis(n_steps=8)}, "need as many time steps"),
        ({"pca_components": 99}, "expected 1 to 64"),
        ({"flatten_background_px": -1.0}, "flatten_background_px is -1"),
    ],
)
def test_contradictions_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Representation(**arguments)


def test_value_alone_needs_no_reference(recording):
    recipe = Representation(time=SHORT, reference="none", channels=("value",), scale="none")
    assert not recipe.needs_fit
    assert recipe.stack(recording()).mean() == pytest.approx(1.0, abs=1e-3)


def test_use_before_fitting_is_refused(recording):
    with pytest.raises(ModelError, match="not fitted"):
        Representation().curves(recording())
    with pytest.raises(ModelError, match="none came"):
        Representation().fit([])


def test_recordings_without_signal_are_refused(recording):
    sequence = recording()
    for value, message in ((0.0, "no pixel shows a signal"), (np.nan, "no pixel has finite values")):
        empty = replace(sequence, frames=np.full(sequence.frames.shape, value, dtype=np.float32))
        with pytest.raises(SequenceError, match=message):
            difference(subtract_cold=False, replace_dead=False).stack(empty)


def test_masks_of_another_frame_are_refused(recording):
    wrong = np.ones((3, 3), dtype=bool)
    with pytest.raises(SequenceError, match="mask has shape"):
        difference().curves(recording(), wrong)
    with pytest.raises(SequenceError, match="region has shape"):
        difference().stack(recording(), region=wrong)
    with pytest.raises(SequenceError, match="training mask has shape"):
        Representation(time=SHORT).fit([recording()], [wrong])
    with pytest.raises(ModelError, match="no training pixel"):
        Representation(time=SHORT).fit([recording()], [np.zeros((24, 30), dtype=bool)])
    with pytest.raises(ModelError, match="principal components"):
        few = np.zeros((24, 30), dtype=bool)
        few[0, :10] = True
        Representation(time=SHORT, pca_components=2).fit([recording()], [few])


def test_counts_without_cold_frames_work(recording):
    sequence = recording(cold_s=0.0, unit="counts", noise_k=0.01)
    assert np.isfinite(difference().stack(sequence)).all()
