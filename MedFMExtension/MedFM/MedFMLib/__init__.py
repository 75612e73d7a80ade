"""What the MedFM panel knows and does, without Qt, MRML, torch or any package outside Python itself.

The files `scene*`, `result_image` and `voxel_grid` are the other side: they alone touch MRML and arrays.

Slicer's process never computes: `client` talks to `python -m medfm_core.worker`. The models here hold what the panel
shows as plain data and call their `changed` when it changed; the panel copies `state()` into its widgets, forwards
clicks, and calls `PanelModel.pump` from a timer. Nothing here starts a thread that calls back: all callbacks come from
`pump` or from the call that caused them.
"""
