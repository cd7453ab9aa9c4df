"""Colours: told apart by those who are colour-blind, and on paper."""

from __future__ import annotations

import itertools

import pytest

from layerlr_dsl.plots.colours import DARK, LIGHT, depth, intensity, rgb, viridis, written

# Machado, Oliveira, Fernandes (2009), severity 1, for linear light.
BLINDNESS = {
    "none": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
PAPER, NIGHT = "#ffffff", "#0d1117"


def _linear(part: int) -> float:
    share = part / 255
    return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4


def _luminance(colour: str, blindness: str = "none") -> float:
    light = [_linear(part) for part in rgb(colour)]
    seen = [sum(a * b for a, b in zip(row, light, strict=True)) for row in BLINDNESS[blindness]]
    red, green, blue = (min(max(part, 0.0), 1.0) for part in seen)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("blindness", BLINDNESS)
@pytest.mark.parametrize("scale", [viridis, depth, lambda part: depth(part, DARK)])
def test_scales_get_lighter_for_everybody(blindness: str, scale) -> None:  # type: ignore[no-untyped-def]
    """The order of rates, and of layers, can be told without telling hues apart."""
    lights = [_luminance(scale(k / 24), blindness) for k in range(25)]
    assert all(one < other for one, other in itertools.pairwise(lights))


@pytest.mark.parametrize("blindness", BLINDNESS)
@pytest.mark.parametrize("place", [0, 0.5, 1])
def test_a_lane_gets_stronger_with_its_rate(blindness: str, place: float) -> None:
    """Whatever its colour is."""
    lights = [_luminance(intensity(depth(place), k / 12), blindness) for k in range(13)]
    assert all(one > other for one, other in itertools.pairwise(lights))


def test_curves_stand_out_from_the_page() -> None:
    """At least 3 to 1, which WCAG asks of graphics, on white and on the dark page."""
    for k in range(25):
        assert _contrast(depth(k / 24, LIGHT), PAPER) >= 3
        assert _contrast(depth(k / 24, DARK), NIGHT) >= 3


@pytest.mark.parametrize("place", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_names_in_the_colours_of_curves_can_be_read_on_white(place: float) -> None:
    """The contrast of WCAG 2 for text, level AA."""
    assert 1.05 / (_luminance(written(depth(place))) + 0.05) >= 4.5
