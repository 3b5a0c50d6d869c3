"""Cityscapes' classes (Cordts et al. 2016): the 19 that are judged, and which of them each label number is."""

from __future__ import annotations

IGNORED = 255
CLASSES = (
    *("road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign"),
    *("vegetation", "terrain", "sky", "person", "rider", "car", "truck", "bus", "train"),
    *("motorcycle", "bicycle"),
)
JUDGED = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)  # label numbers
LABELS = 35  # numbers 0 to 33, and one for what has none
OF_LABELS = tuple(JUDGED.index(k) if k in JUDGED else IGNORED for k in range(LABELS))
