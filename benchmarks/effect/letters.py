"""Capital letters in many fonts, a little turned and moved; shift: handwriting and display faces."""

from __future__ import annotations

import string
from collections.abc import Iterator
from pathlib import Path

import numpy
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from effect.design import Task
from effect.images import pixels, stacked
from effect.packages import unpacked

TESTED_FACES = 24
SHIFTED_FACES = 24
OTHER = (
    *("dkg-handwriting", "dancingscript", "breip", "femkeklaver", "humor-sans", "kaushanscript", "kristi"),
    *("leckerli-one", "lobster", "rufscript", "havana", "comic-neue", "bwht", "klaudia-berenika", "okolaks"),
)
"""Fonts for the shifted test; all others of the task are for training and the plain test."""


def make(task: Task, cache: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Each letter once in each face; faces of the test are in no training sample. Raises packages.Missing."""
    near, far = [], []
    for package in task.packages:
        faces = list(_faces(unpacked(package, cache)))
        (far if package.removeprefix("deb:fonts-") in OTHER else near).extend(faces)
    generator = numpy.random.default_rng(0)
    near = [near[row] for row in generator.permutation(len(near))]
    far = [far[row] for row in generator.permutation(len(far))]
    parts = {"pool": near[TESTED_FACES:], "test": near[:TESTED_FACES], "shift": far[:SHIFTED_FACES]}
    return {name: _drawn(faces, task.side) for name, faces in parts.items()}


def _faces(folder: Path) -> Iterator[Path]:
    """The font files that draw every capital, each unlike the others."""
    for path in sorted([*folder.rglob("*.ttf"), *folder.rglob("*.otf")]):
        if path.is_symlink():
            continue
        font = ImageFont.truetype(str(path), 40)
        shapes = {bytes(font.getmask(letter)) for letter in string.ascii_uppercase}
        if len(shapes) == 26 and all(any(shape) for shape in shapes):
            yield path


def _drawn(faces: list[Path], side: int) -> tuple[Tensor, Tensor]:
    generator = numpy.random.default_rng(1)
    images = [
        pixels(_letter(letter, path, generator), side) for path in faces for letter in string.ascii_uppercase
    ]
    return stacked(images, list(range(26)) * len(faces))


def _letter(letter: str, path: Path, generator: numpy.random.Generator) -> Image.Image:
    page = Image.new("L", (96, 96), 255)
    font = ImageFont.truetype(str(path), int(generator.integers(48, 72)))
    left, top, right, bottom = font.getbbox(letter)
    dx, dy = generator.integers(-8, 9, 2).tolist()
    at = (48 - (left + right) / 2 + dx, 48 - (top + bottom) / 2 + dy)
    ImageDraw.Draw(page).text(at, letter, font=font, fill=int(generator.integers(0, 96)))
    return page.rotate(float(generator.uniform(-12, 12)), Image.Resampling.BILINEAR, fillcolor=255)
