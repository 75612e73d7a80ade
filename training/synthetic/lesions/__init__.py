"""Lesions and organ changes: placed inside their organs, with exact truth."""

from training.synthetic.lesions.registry import KINDS, Kind, draw_kinds, physique_for, place_kinds
from training.synthetic.lesions.scene import Edit, Finding, Material, Scene

__all__ = ["KINDS", "Edit", "Finding", "Kind", "Material", "Scene", "draw_kinds", "physique_for", "place_kinds"]
