"""The panel of the 3D Slicer extension in a window of its own, with slices beside it.

The widgets, their behaviour and the scene are those of the extension (`MedFMLib`); here is what Slicer's application
brings in its place: the few widgets of its own, the scene's logics, and slice views. Qt is PySide6 through Qt.py, the
scene is slicer-core's; all of it is in the extra `panel`. This process computes nothing and imports no torch.
"""
