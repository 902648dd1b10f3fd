import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from thermo_qc.errors import ConfigError, TrainingError, UnknownNameError
from thermo_qc.training.losses import (
    LOSSES,
    CrossEntropyLoss,
    DiceLoss,
    FocalLoss,
    build_loss,
    class_weights_from_counts,
)


def batch(seed=0, shape=(2, 4, 5), n_classes=3):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(shape[0], n_classes, *shape[1:], generator=generator)
    return logits, torch.randint(0, n_classes, shape, generator=generator).to(torch.uint8)


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 2.0, 5.0])])
def test_cross_entropy_agrees_with_pytorch(weights):
    logits, target = batch()
    target[0, 0, 0] = 255
    expected = functional.cross_entropy(logits, target.long(), weight=weights, ignore_index=255)
    torch.testing.assert_close(CrossEntropyLoss(weights)(logits, target), expected)


def test_focal_loss_is_the_formula_of_lin():
    logits, target = batch()
    p = torch.softmax(logits, 1).gather(1, target.long()[:, None])[:, 0]
    torch.testing.assert_close(FocalLoss(gamma=2.0)(logits, target), (-((1 - p) ** 2) * p.log()).mean())
    torch.testing.assert_close(FocalLoss(gamma=0.0)(logits, target), CrossEntropyLoss()(logits, target))


def test_focal_loss_has_a_finite_gradient_at_certainty():
    logits = torch.tensor([[100.0, 0.0], [0.0, 100.0]], requires_grad=True)
    FocalLoss(gamma=0.5)(logits, torch.tensor([0, 1])).backward()
    assert torch.isfinite(logits.grad).all()


def test_dice_of_perfect_and_opposite_predictions():
    target = torch.tensor([0, 0, 1, 1])
    right = 50.0 * functional.one_hot(target, 2).float()
    assert float(DiceLoss()(right, target)) == pytest.approx(0.0, abs=1e-5)
    assert float(DiceLoss()(-right, target)) == pytest.approx(1.0, abs=1e-5)


def test_dice_averages_over_the_classes_that_occur_with_their_weights():
    logits, target = torch.zeros(4, 3), torch.tensor([0, 0, 0, 1])
    dice = [2 * (3 / 3) / (4 / 3 + 3), 2 * (1 / 3) / (4 / 3 + 1)]
    assert float(DiceLoss()(logits, target)) == pytest.approx(1 - np.mean(dice))
    weighted = DiceLoss(torch.tensor([1.0, 3.0, 9.0]))(logits, target)
    assert float(weighted) == pytest.approx(1 - np.average(dice, weights=[1, 3]))


@pytest.mark.parametrize("name", LOSSES)
def test_ignored_pixels_and_absent_classes(name):
    loss = LOSSES[name](torch.tensor([1.0, 2.0, 3.0]), 2.0)
    logits, target = batch()
    target[target == 2] = 1
    target[:, :, :2] = 255
    logits.requires_grad_()
    value = loss(logits, target)
    value.backward()
    assert torch.isfinite(value) and value > 0
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[:, :, :, :2] == 0).all() and (logits.grad[:, :, :, 2:] != 0).any()
    torch.testing.assert_close(loss(logits[..., 2:], target[..., 2:]), value)


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_without_labels_costs_nothing(name):
    logits, _ = batch()
    logits.requires_grad_()
    value = LOSSES[name](None, 2.0)(logits, torch.full((2, 4, 5), 255, dtype=torch.uint8))
    value.backward()
    assert float(value.detach()) == 0.0
    assert (logits.grad == 0).all()


def test_weighted_sum_of_terms():
    logits, target = batch()
    terms = [("cross_entropy", 2.0, (1.0, 2.0, 3.0), 2.0), ("dice", 0.5, "none", 2.0), ("focal", 1.0, "none", 1.0)]
    weights = torch.tensor([1.0, 2.0, 3.0])
    expected = (
        2 * CrossEntropyLoss(weights)(logits, target)
        + 0.5 * DiceLoss()(logits, target)
        + FocalLoss(gamma=1.0)(logits, target)
    )
    torch.testing.assert_close(build_loss(terms, [5, 5, 5])(logits, target), expected)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 10**6), min_size=2, max_size=6))
def test_balanced_weights_give_every_class_the_same_total(counts):
    weights = class_weights_from_counts("balanced", counts).double().numpy()
    totals = weights * np.array(counts)
    np.testing.assert_allclose(totals, totals[0], rtol=1e-5)
    assert weights.mean() == pytest.approx(1.0, rel=1e-5)
    root = class_weights_from_counts("sqrt_balanced", counts).double().numpy()
    np.testing.assert_allclose(root / root[0], np.sqrt(weights / weights[0]), rtol=1e-4)


def test_errors_name_what_came():
    with pytest.raises(ConfigError, match="class_weights has 2 numbers for 3 classes; give one per class"):
        class_weights_from_counts((1.0, 2.0), [1, 1, 1])
    with pytest.raises(TrainingError, match=r"need pixels of every class, the counts are \[3, 0\]"):
        class_weights_from_counts("balanced", [3, 0])
    with pytest.raises(UnknownNameError, match="did you mean 'focal'"):
        build_loss([("focl", 1.0, "none", 2.0)], [1, 1])
    with pytest.raises(ConfigError, match=r"train\.losses is empty"):
        build_loss([], [1, 1])
