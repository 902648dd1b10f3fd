from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from thermo_qc.errors import InputError, ModelError, SequenceError
from thermo_qc.inspection import DefectMap, predict_sequence


def test_a_model_finds_the_defect(make_model, recording, labels):
    model = make_model()
    result = predict_sequence(model, recording)
    assert (result.class_map == labels).mean() > 0.98
    assert result.class_map.dtype == np.uint8 and result.probability.shape == (3, 24, 30)
    assert result.probability.sum(axis=0) == pytest.approx(np.ones((24, 30)), abs=1e-5)
    assert result.depth_mm[result.defect] == pytest.approx(2.0)
    assert np.isnan(result.depth_mm[~result.defect]).all()
    assert result.inspected.all()
    assert (result.pixel_pitch_mm, result.input_sha256, result.model_sha256) == (2.0, "ab" * 32, (model.sha256,))


def test_several_models_vote_with_the_mean(make_model, recording):
    models = [make_model(seed=1, depth=2.0), make_model(seed=2, depth=3.0)]
    together = predict_sequence(models, recording, input_sha256="cd")
    alone = [predict_sequence(model, recording) for model in models]
    mean = (alone[0].probability + alone[1].probability) / 2
    assert together.probability == pytest.approx(mean, abs=1e-6)
    assert np.array_equal(together.class_map, mean.argmax(axis=0))
    sure = (alone[0].probability[1] == 1) & (alone[1].probability[1] == 1)
    assert sure.any()
    assert together.depth_mm[sure] == pytest.approx(2.5)
    assert together.input_sha256 == "cd" and len(together.model_sha256) == 2


def test_a_model_calls_from_its_own_threshold_on(make_model, recording):
    plain = make_model(wrong=0.5)
    eager, usual = (
        replace(plain, metadata={**plain.metadata, "defect_threshold": 0.2}),
        predict_sequence(plain, recording),
    )
    result = predict_sequence(eager, recording)
    assert np.array_equal(result.probability, usual.probability)
    defect = 1.0 - result.probability[0]
    assert np.array_equal(result.defect, defect >= 0.2) and result.defect.sum() > usual.defect.sum() > 0
    assert np.array_equal(result.class_map[result.defect], 1 + result.probability[1:, result.defect].argmax(axis=0))
    assert np.isfinite(result.depth_mm[result.defect]).all()
    assert result.options == {"defect_threshold": [0.2]} and usual.options == {}
    both = predict_sequence((plain, eager), recording)  # they vote on where to call, too
    assert np.array_equal(both.defect, 1.0 - both.probability[0] >= 0.35)
    assert both.options == {"defect_threshold": [0.5, 0.2]}


@pytest.mark.parametrize("value", [0, 1, -0.5, True, "low", float("nan")])
def test_a_strange_threshold_is_refused(make_model, value):
    with pytest.raises(ModelError, match=r"the model's defect_threshold is .*, expected a number between 0 and 1"):
        replace(make_model(), metadata={"defect_threshold": value})


def test_outside_the_region_nothing_is_said(make_model, recording, labels):
    region = np.zeros((24, 30), dtype=bool)
    region[4:20, 3:25] = True
    result = predict_sequence(make_model(), recording, region=region)
    assert (result.class_map[~region] == 255).all()
    assert not result.probability[:, ~region].any()
    assert np.isnan(result.depth_mm[~region]).all()
    assert np.array_equal(result.inspected, region)
    assert (result.class_map[region] == labels[region]).mean() > 0.98


def test_what_lies_outside_the_region_changes_nothing_inside(make_model, recording):
    region = np.zeros((24, 30), dtype=bool)
    region[:, :16] = True
    frames = recording.frames.copy()
    frames[:, :, 16:] += np.linspace(0, 30, len(frames), dtype=np.float32)[:, None, None]
    model = make_model()
    model = replace(model, representation=replace(model.representation, replace_dead=False))
    first, second = (
        predict_sequence(model, one, region=region) for one in (recording, replace(recording, frames=frames))
    )
    assert second.probability == pytest.approx(first.probability, abs=1e-6)


def test_the_truth_in_a_recording_changes_nothing(make_model, recording):
    from thermo_qc.sequence import Truth

    index = np.zeros((24, 30), dtype=np.int16)
    index[:, :20] = -1
    truth = Truth(defect_index=index, depth_mm=np.full((24, 30), np.nan, dtype=np.float32), defects=())
    first, second = (predict_sequence(make_model(), one) for one in (recording, replace(recording, truth=truth)))
    assert np.array_equal(first.probability, second.probability)


def test_impossible_requests_are_refused(make_model, recording):
    model = make_model()
    with pytest.raises(ModelError, match="no model came"):
        predict_sequence((), recording)
    with pytest.raises(ModelError, match="different classes cannot vote"):
        predict_sequence((model, make_model(class_names=("sound", "defect"))), recording)
    with pytest.raises(SequenceError, match="region has shape"):
        predict_sequence(model, recording, region=np.ones((2, 2), dtype=bool))
    with pytest.raises(SequenceError, match="region has no pixel"):
        predict_sequence(model, recording, region=np.zeros((24, 30), dtype=bool))
    with pytest.raises(ModelError, match="before the model's time origin"):
        predict_sequence(model, recording.between(-8.0, 40.0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth_mm": np.zeros((2, 2), dtype=np.float32)}, "expected the same frame"),
        ({"class_names": ("sound",)}, "expected the same frame"),
        ({"class_map": np.full((24, 30), 7, dtype=np.uint8)}, "holds class 7"),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(change, message):
    parts = {
        "class_map": np.zeros((24, 30), dtype=np.uint8),
        "probability": np.zeros((2, 24, 30), dtype=np.float32),
        "depth_mm": np.zeros((24, 30), dtype=np.float32),
        "class_names": ("sound", "defect"),
    }
    assert DefectMap(**parts).shape == (24, 30)
    with pytest.raises(InputError, match=message):
        DefectMap(**{**parts, **change})
