"""The window: the panel at the left, three slices at the right."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import vtk
from MedFMLib.panel import Panel, Surroundings
from MedFMLib.panel_dialogs import Dialogs
from MedFMLib.panel_qt import plain_toolkit
from MedFMLib.panel_settings import Settings
from MedFMLib.scene import SlicerScene
from MedFMLib.view_model import PanelModel
from Qt import QtCore, QtGui, QtWidgets

from medfm_core.desktop.loading import load_panel
from medfm_core.desktop.slice_view import SliceView
from medfm_core.desktop.space import Space, name_of
from medfm_core.errors import MedFMError
from medfm_core.io import read_volume

_VIEWS = (("Red", "Axial"), ("Green", "Coronal"), ("Yellow", "Sagittal"))
_SCANS = "Scans (*.nii *.nii.gz *.nrrd *.nhdr *.mha *.mhd);;All files (*)"
_PANEL_WIDTH, _SIZE = 510, (1280, 860)


class PipInstaller:
    """Installs nothing: outside Slicer MedFM and what it needs are installed by pip, together."""

    def can_install_torch(self) -> str:
        """What the user must do."""
        return "Install MedFM anew: pip install 'medfm[panel]'"

    def install_torch(self) -> None:
        """Never reached: `can_install_torch` says what to do."""
        raise RuntimeError(self.can_install_torch())

    def install(self, requirements: tuple[str, ...]) -> None:
        """Say what to do."""
        raise RuntimeError(self.can_install_torch())


class Window(QtWidgets.QMainWindow):
    """Everything.

    Args:
        store: a QSettings that keeps the settings of the computer.
        model_of: makes the panel's model; by default on a worker process of its own.
    """

    def __init__(self, store: Any, model_of: Any = PanelModel) -> None:
        super().__init__()
        self.space = Space()
        self.scene = SlicerScene(self.space.scene)
        widget, self.ui = load_panel()
        toolkit, settings = plain_toolkit(), Settings(store)
        self.dialogs = Dialogs(toolkit, self)
        self.model = model_of(settings.launch, self.scene, PipInstaller())
        self.panel = Panel(self.ui, self.model, Surroundings(toolkit, self.scene, settings, self.dialogs))
        self._widget = widget
        self.views = [SliceView(self.space, *names, self._on_point) for names in _VIEWS]
        self._build()
        toolkit.connect(self.ui.inputSelector, "currentNodeChanged(vtkMRMLNode*)", self._show_volume)
        widget.setMRMLScene(self.space.scene)
        scene = self.space.scene
        self._tag = scene.AddObserver(scene.NodeAboutToBeRemovedEvent, self._on_node_goes)

    def open_scan(self, path: str | Path, series: str | None = None) -> Any:
        """Read a scan and choose it.

        Raises:
            MedFMError: it cannot be read.
        """
        node = self.space.add_scan(read_volume(path, series=series), name_of(path))
        self.ui.inputSelector.setCurrentNode(node)
        return node

    def _build(self) -> None:
        self.setWindowTitle("MedFM, research use only")
        scroll = QtWidgets.QScrollArea()
        scroll.setWidget(self._widget)
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarAlwaysOff)
        scroll.setMinimumWidth(_PANEL_WIDTH)
        slices = QtWidgets.QWidget()
        grid = QtWidgets.QGridLayout(slices)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(2)
        for view, place in zip(self.views, ((0, 0, 1, 2), (1, 0), (1, 1)), strict=True):
            grid.addWidget(view, *place)
        parts = QtWidgets.QSplitter()
        parts.addWidget(scroll)
        parts.addWidget(slices)
        parts.setStretchFactor(1, 1)
        parts.setSizes([_PANEL_WIDTH, _SIZE[0] - _PANEL_WIDTH])
        self.setCentralWidget(parts)
        menu = self.menuBar().addMenu("&File")
        menu.addAction("&Open scan…", QtGui.QKeySequence("Ctrl+O"), self._on_open_file)
        menu.addAction("Open &DICOM folder…", QtGui.QKeySequence("Ctrl+D"), self._on_open_folder)
        menu.addAction("&Close all", QtGui.QKeySequence("Ctrl+W"), self._on_close_all)
        menu.addAction("&Quit", QtGui.QKeySequence("Ctrl+Q"), self.close)
        self.resize(*_SIZE)

    def _on_open_file(self) -> None:
        self._try_to_open(self.dialogs.file("Open a scan", _SCANS))

    def _on_open_folder(self) -> None:
        self._try_to_open(self.dialogs.folder("Open a DICOM folder"))

    def _try_to_open(self, path: str) -> None:
        if path:
            try:
                self.open_scan(path)
            except MedFMError as error:
                QtWidgets.QMessageBox.warning(self, "MedFM", str(error))

    def _on_close_all(self) -> None:
        for node in list(_scans(self.space.scene)):
            self.scene.remove_result(node)
            self.space.scene.RemoveNode(node)

    def _show_volume(self, volume: Any) -> None:
        for view in self.views:
            view.show_volume(volume)

    def _on_point(self, view: SliceView, point: Sequence[float]) -> None:
        for other in self.views:
            if other is not view:
                other.node.JumpSliceByCentering(*point)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_node_goes(self, caller: Any, event: str, node: Any) -> None:
        if node is not None and node.IsA("vtkMRMLVolumeNode"):
            self.model.volume_removed(node)

    def closeEvent(self, event: Any) -> None:  # noqa: N802
        """End the worker; no process and no temporary file stays."""
        self.end()
        super().closeEvent(event)

    def end(self) -> None:
        """The same, without a window's event; a second call does nothing."""
        if self._tag is not None:
            self.space.scene.RemoveObserver(self._tag)
            self._tag = None
            self.panel.close()
            self.model.close()
            self.scene.close()
            self._widget.setMRMLScene(None)
            for view in self.views:
                view.stop()


def application() -> Any:
    """Qt's application, made once."""
    return QtWidgets.QApplication.instance() or QtWidgets.QApplication(sys.argv[:1])


def run(window: Window) -> int:
    """Show the window until it is closed; Ctrl-C in the terminal closes it too."""
    wake = QtCore.QTimer()  # Python sees Ctrl-C only when it runs
    wake.timeout.connect(lambda: None)
    wake.start(200)
    window.show()
    window.model.enter()
    try:
        return application().exec()
    finally:
        with suppress(RuntimeError):
            window.end()


def _scans(scene: Any) -> list[Any]:
    count = scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
    found = [scene.GetNthNodeByClass(index, "vtkMRMLScalarVolumeNode") for index in range(count)]
    return [node for node in found if node.GetAttribute("MedFM.SaliencyFile") is None]
