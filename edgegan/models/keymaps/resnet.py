"""Public names of ResNet weights, for programs outside."""

from edgegan.models.resnet.keymap import namer as namer
