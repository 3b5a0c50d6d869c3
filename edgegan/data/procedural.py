"""The embedded task: line drawings of simple scenes, and the same scenes shaded and textured.

A drawing shows a horizon and a few shapes; the shape decides the object. Circles are glossy orange balls, squares
are blue boxes with planks, triangles are green striped tents, all standing on a tiled floor under a dusk sky. So
the task is image to image, can be learnt in a minute, and is judged at a glance.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from edgegan.data.images import Pixels, write_image

SCALE = 3  # drawn this much larger, then averaged down: antialiasing


def draw_pair(size: int, seed: int) -> tuple[Pixels, Pixels]:
    """One scene of `size` x `size`: its outline drawing and its shaded picture, each (size, size, 3) uint8."""
    chance = random.Random(f"scene:{seed}")
    side = size * SCALE
    horizon = int(side * chance.uniform(0.35, 0.6))
    joints = floor_joints(side, horizon)
    picture = draw_background(side, horizon, joints)
    outline = Image.fromarray(
        np.repeat(np.where(joints, 190, 255).astype(np.uint8)[..., None], 3, axis=2)
    )
    pen = ImageDraw.Draw(outline)
    width = max(2, side // 90)
    pen.line([(0, horizon), (side, horizon)], fill="black", width=width)
    count = chance.randint(2, 4)
    depths = sorted(chance.uniform(0.1, 1.0) for _ in range(count))
    for index, depth in enumerate(depths):
        kind = chance.choice(("circle", "square", "triangle"))
        radius = side * (0.09 + 0.12 * depth)
        centre_x = side * (index + 0.5 + chance.uniform(-0.3, 0.3)) / count
        base = horizon + (side - horizon) * (0.15 + 0.8 * depth)
        corners = shape_corners(kind, centre_x, base, radius)
        mask = Image.new("L", (side, side), 0)
        draw_shape(ImageDraw.Draw(mask), kind, corners, fill=255)
        inside = np.asarray(mask)[..., None] > 127
        picture = cast_shadow(picture, centre_x, base, radius)
        picture = np.where(inside, shade(kind, side, centre_x, base, radius), picture)
        draw_shape(pen, kind, corners, fill="white", outline="black", width=width)
    shaded = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    return shrink(outline, size), shrink(shaded, size)


def shrink(image: Image.Image, size: int) -> Pixels:
    """Averages the oversized drawing down."""
    return np.asarray(image.resize((size, size), Image.Resampling.BOX)).copy()


def floor_joints(side: int, horizon: int) -> np.ndarray:
    """(side, side) bool: the lines between floor tiles in perspective, below the horizon."""
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    depth = np.maximum(rows - horizon, 1) / side + 0.12
    across, along = (columns / side - 0.5) / depth * 3, 0.9 / depth
    thick = 0.012 / depth
    lines = (np.abs(across - np.round(across)) < 1.2 * thick) | (
        np.abs(along - np.round(along)) < 0.6 * thick**2 + 0.02
    )
    return lines & (rows > horizon + 0.04 * side)


def draw_background(side: int, horizon: int, joints: np.ndarray) -> np.ndarray:
    """(side, side, 3) float: dusk sky above the horizon, a tiled floor that darkens into the distance below."""
    rows = np.mgrid[:side, :side][0].astype(np.float32)
    t = np.clip(rows / max(1, horizon), 0, 1)[..., None]
    sky = (1 - t) * np.array([60, 90, 170], np.float32) + t * np.array([250, 190, 150], np.float32)
    near = np.clip((rows - horizon) / side * 3, 0, 1)[..., None]
    floor = (130 + 70 * near + np.array([30, 10, -20], np.float32)) * np.where(joints, 0.62, 1.0)[
        ..., None
    ]
    return np.where((rows < horizon)[..., None], sky, floor)


def shape_corners(
    kind: str, centre_x: float, base: float, radius: float
) -> list[tuple[float, float]]:
    """Bounding points of a shape that stands on `base`."""
    if kind == "triangle":
        return [
            (centre_x, base - 2.1 * radius),
            (centre_x + 1.15 * radius, base),
            (centre_x - 1.15 * radius, base),
        ]
    half = radius if kind == "circle" else 0.9 * radius
    return [(centre_x - half, base - 2 * half), (centre_x + half, base)]


def draw_shape(
    pen: ImageDraw.ImageDraw, kind: str, corners: list[tuple[float, float]], **style: Any
) -> None:
    """Draws one shape with Pillow's primitive for it."""
    draw = {"circle": pen.ellipse, "square": pen.rectangle, "triangle": pen.polygon}[kind]
    draw(corners, **style)


def cast_shadow(picture: np.ndarray, centre_x: float, base: float, radius: float) -> np.ndarray:
    """Darkens the floor under a shape with a soft ellipse."""
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float32)
    distance = ((columns - centre_x - 0.35 * radius) / (1.5 * radius)) ** 2 + (
        (rows - base) / (0.4 * radius)
    ) ** 2
    return picture * (1 - 0.55 * np.clip(1.3 - distance, 0, 1))[..., None]


def shade(kind: str, side: int, centre_x: float, base: float, radius: float) -> np.ndarray:
    """(side, side, 3) float: the surface of a shape, defined everywhere, cut out by the caller."""
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    u, v = (columns - centre_x) / radius, (rows - base + radius) / radius
    if kind == "circle":
        light = np.sqrt(np.clip(1.35 - (u + 0.4) ** 2 - (v + 0.4) ** 2, 0, None)) / 1.16
        gloss = np.clip(1 - ((u + 0.38) ** 2 + (v + 0.42) ** 2) / 0.05, 0, 1)
        return (0.25 + 0.85 * light)[..., None] * np.array(
            [245, 120, 30], np.float32
        ) + 160 * gloss[..., None]
    if kind == "square":
        planks = np.where(np.abs((v * 2.5) % 1 - 0.5) > 0.42, 0.55, 1.0)
        light = 0.95 - 0.3 * u
        return (planks * light)[..., None] * np.array([60, 120, 205], np.float32)
    stripes = np.where(np.floor((u / np.clip(v + 1.15, 0.15, None)) * 4 + 100) % 2 == 0, 1.0, 0.6)
    light = 0.75 + 0.25 * v
    return (stripes * light)[..., None] * np.array([70, 185, 90], np.float32)


def write_dataset(folder: Path, count: int, size: int, first_seed: int) -> list[Path]:
    """Writes `count` outline drawings as PNG and returns them; the shaded pictures go to `folder`_target.

    Pairs that are there already stay untouched, so that a run made from them knows them again.
    """
    files = []
    for index in range(count):
        path = folder / f"scene{index:04d}.png"
        target = folder.parent / f"{folder.name}_target" / path.name
        if not (path.is_file() and target.is_file()):
            outline, shaded = draw_pair(size, first_seed + index)
            write_image(target, shaded)
            write_image(path, outline)
        files.append(path)
    return files
