"""The colour map of saliency: dark red over orange to pale yellow, told apart by lightness alone.

It is the report's ramp. Lightness grows all the way, so it reads the same with any colour vision and in grey; its first
colour is no black, which would hide the scan.
"""

from __future__ import annotations

import numpy as np
import slicer

RAMP = ((0.0, 140, 26, 60), (0.3, 216, 68, 42), (0.6, 245, 154, 28), (1.0, 253, 240, 166))  # share, red, green, blue
_NAME, _STEPS = "MedFM saliency", 256


def saliency_colours(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLColorTableNode:
    """The scene's colour map of saliency, made where there is none yet."""
    found = scene.GetFirstNode(_NAME, "vtkMRMLColorTableNode")
    if found is not None and found.GetNumberOfColors() == _STEPS:
        return found
    table = slicer.vtkMRMLColorTableNode()
    table.SetTypeToUser()
    table.SetName(_NAME)
    table.SetDescription("Where the score of a finding comes from; dark is little, pale is much.")
    table.SetNumberOfColors(_STEPS)
    for step, colour in enumerate(ramp(_STEPS)):
        table.SetColor(step, f"{step / (_STEPS - 1):.2f}", *colour, 1.0)
    table.SetSaveWithScene(True)
    return scene.AddNode(table)


def ramp(steps: int) -> np.ndarray:
    """Red, green, blue from 0 to 1, `(steps, 3)`."""
    anchors = np.array(RAMP)
    shares = np.linspace(0, 1, steps)
    return np.stack([np.interp(shares, anchors[:, 0], anchors[:, part]) for part in (1, 2, 3)], axis=1) / 255
