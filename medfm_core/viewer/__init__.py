"""A result in a browser: three slices, 3D, organs, findings and where their scores come from.

The scene is Slicer's own (slicer-core), filled by the code that fills it in Slicer too (`MedFMLib.scene`), and drawn by
trame-slicer. All of it is in the extra `view`; nothing of that is imported before it is known to be there.
"""
