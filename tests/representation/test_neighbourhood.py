from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import ConfigError
from thermo_qc.representation import CurveField, Representation, TimeAxis, neighbourhood_radius_mm

STEPS = TimeAxis(n_steps=5)


def make_field(shape: tuple[int, int], size: int, mode: str, seed: int = 0, unseen: float = 0.0) -> CurveField:
    rng = np.random.default_rng(seed)
    pixels = rng.normal(size=(shape[0] * shape[1], 3, 2)).astype(np.float32)
    seen = rng.random(len(pixels)) >= unseen
    pixels[~seen] = 0.0
    return CurveField(pixels=pixels, seen=seen, frame_shape=shape, size=size, mode=mode)


def slow_neighbours(field: CurveField, y: int, x: int, ring: int) -> list[np.ndarray]:
    """Curves at a Chebyshev distance, the frame reflected, None where a neighbour shows nothing."""
    rows, columns = (np.pad(np.arange(n), ring, mode="reflect") for n in field.frame_shape)
    found = []
    for dy in range(-ring, ring + 1):
        for dx in range(-ring, ring + 1):
            if max(abs(dy), abs(dx)) == ring:
                number = rows[y + dy + ring] * field.frame_shape[1] + columns[x + dx + ring]
                found.append(field.pixels[number] if field.seen[number] else None)
    return found


@given(
    height=st.integers(1, 5), width=st.integers(1, 5), radius=st.integers(0, 2), seed=st.integers(0, 99),
    unseen=st.sampled_from([0.0, 0.3]),
)  # fmt: skip
@settings(deadline=None, max_examples=25)
def test_rings_are_the_pixel_minus_the_mean_of_the_visible_pixels_around(height, width, radius, seed, unseen):
    field = make_field((height, width), 2 * radius + 1, "ring", seed, unseen)
    result = field.gather(np.arange(len(field)))
    assert result.shape == (len(field), 3, field.n_channels) == (len(field), 3, 2 * (1 + radius))
    for number, curve in enumerate(result):
        own = field.pixels[number]
        assert np.array_equal(curve[:, :2], own)
        if not field.seen[number]:
            assert not curve.any()
            continue
        for ring in range(1, radius + 1):
            around = [other for other in slow_neighbours(field, *divmod(number, width), ring) if other is not None]
            # A neighbour that the reflection makes the pixel itself says nothing new and is left out.
            around = [other for other in around if not np.array_equal(other, own)]
            expected = own - np.mean(around, axis=0) if around else np.zeros_like(own)
            assert curve[:, 2 * ring : 2 * ring + 2] == pytest.approx(expected, abs=1e-5)


@given(height=st.integers(2, 5), width=st.integers(2, 5), seed=st.integers(0, 99), unseen=st.sampled_from([0.0, 0.4]))
@settings(deadline=None, max_examples=15)
def test_all_nine_curves_are_there(height, width, seed, unseen):
    field = make_field((height, width), 3, "all", seed, unseen)
    result = field.gather(np.arange(len(field)))
    assert field.n_channels == 18
    for number in np.flatnonzero(field.seen):
        own = field.pixels[number]
        around = slow_neighbours(field, *divmod(int(number), width), 1)
        expected = np.concatenate([own, *(own if other is None else other for other in around)], axis=1)
        assert np.array_equal(result[number], expected)
    assert not result[~field.seen].any()


def test_any_choice_of_pixels_gives_the_same_curves():
    for mode in ("all", "ring"):
        field = make_field((7, 6), 5, mode, unseen=0.2)
        whole = field.gather(np.arange(42))
        chosen = np.array([41, 3, 3, 17])
        assert np.array_equal(field.gather(chosen), whole[chosen])
        assert field.gather(np.arange(0)).shape == (0, 3, field.n_channels)


@pytest.mark.parametrize("mode", ["all", "ring"])
def test_a_representation_shows_the_neighbourhood_and_is_saved_with_it(recording, mode):
    sequence = recording(noise_k=0.02)
    plain = Representation(time=STEPS).fit([sequence])
    wide = Representation(time=STEPS, neighbourhood=3, neighbourhood_mode=mode).fit([sequence])
    assert wide.n_curve_channels == {"all": 18, "ring": 4}[mode]
    assert wide.n_stack_channels == plain.n_stack_channels
    assert np.array_equal(wide.stack(sequence), plain.stack(sequence))
    curves = wide.curves(sequence)
    assert curves.shape == (24 * 30, 5, wide.n_curve_channels)
    assert np.array_equal(curves[:, :, :2], plain.curves(sequence))
    again = Representation.from_saved(wide.to_metadata(), wide.arrays())
    mask = np.zeros((24, 30), dtype=bool)
    mask[3:5, 7] = True
    assert np.array_equal(again.curves(sequence, mask), curves[mask.ravel()])


def test_sound_neighbours_leave_rings_at_nothing_and_the_rim_of_a_defect_stands_out(recording, disc):
    sequence = recording(noise_k=0.0)
    recipe = Representation(
        time=STEPS, channels=("difference",), scale="none", neighbourhood=3, neighbourhood_mode="ring"
    )
    ring = np.abs(recipe.curves(sequence)[:, :, 1]).max(axis=1).reshape(24, 30)
    edge = disc & ~np.roll(disc, 1, axis=1)
    assert ring[:4, 20:].max() < 0.05 * ring[edge].min()


def test_principal_components_come_with_their_neighbours(recording):
    sequence = recording(noise_k=0.05)
    wide = Representation(time=STEPS, pca_components=3, neighbourhood=3).fit([sequence])
    assert wide.curves(sequence).shape == (720, 3, 9)
    region = np.ones((24, 30), dtype=bool)
    region[:, :10] = False
    assert not wide.curves(sequence, region=region).reshape(24, 30, -1)[:, :10].any()


def test_pixels_beyond_the_region_do_not_colour_their_neighbours(recording):
    sequence = recording(noise_k=0.02)
    wide = Representation(time=STEPS, scale="noise", channels=("difference",), neighbourhood=3)
    region = np.ones((24, 30), dtype=bool)
    region[:, :10] = False
    curves = wide.curves(sequence, region=region).reshape(24, 30, 5, 9)
    own, left = curves[5, 10, :, 0], curves[5, 10, :, 4]
    assert np.array_equal(own, left)
    assert not np.array_equal(curves[5, 11, :, 0], curves[5, 11, :, 4])


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"neighbourhood": 2}, "neighbourhood is 2, expected an odd number of pixels from 1"),
        ({"neighbourhood": 17}, "neighbourhood is 17"),
        ({"neighbourhood": True}, "neighbourhood is True"),
        ({"neighbourhood": 3, "neighbourhood_mode": "rings"}, "neighbourhood_mode is 'rings', expected all or ring"),
    ],
)
def test_impossible_neighbourhoods_are_refused(choice, message):
    with pytest.raises(ConfigError, match=message):
        Representation(**choice)


def test_the_radius_reaches_to_the_corner():
    assert neighbourhood_radius_mm(1, 2.0) == 0.0
    assert neighbourhood_radius_mm(3, 2.0) == pytest.approx(2.8284271)
