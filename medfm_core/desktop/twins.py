"""Plain counterparts of the widgets that only Slicer has, under the names that `MedFM.ui` calls them by."""

from __future__ import annotations

from typing import Any

from Qt import QtCore, QtWidgets

_NODES_CHANGED = ("NodeAddedEvent", "NodeRemovedEvent", "EndCloseEvent", "EndImportEvent")


class qMRMLWidget(QtWidgets.QWidget):  # noqa: N801 the name in the .ui file
    """A widget that hands the scene on to those within it that take one."""

    mrmlSceneChanged = QtCore.Signal("vtkMRMLScene*")  # noqa: N815 the .ui file names it; nothing sends it

    def setMRMLScene(self, scene: Any) -> None:  # noqa: N802
        """Give the scene to every widget within."""
        for child in self.findChildren(qMRMLNodeComboBox):
            child.setMRMLScene(scene)


class qMRMLNodeComboBox(QtWidgets.QComboBox):  # noqa: N801
    """A menu of the scene's nodes of some kinds."""

    currentNodeChanged = QtCore.Signal(object)  # noqa: N815

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._tags: list[int] = []
        self._nodes: list[Any] = []
        self._options: dict[str, Any] = {}
        self._chosen: Any = None
        self.currentIndexChanged.connect(self._on_index)

    def _option(name: str, kind: Any, default: Any) -> Any:  # noqa: N805 makes properties of the class
        def read(self: qMRMLNodeComboBox) -> Any:
            return self._options.get(name, default)

        def write(self: qMRMLNodeComboBox, value: Any) -> None:
            self._options[name] = value

        return QtCore.Property(kind, read, write)

    nodeTypes = _option("nodeTypes", "QStringList", [])  # noqa: N815
    noneEnabled = _option("noneEnabled", bool, False)  # noqa: N815
    addEnabled = _option("addEnabled", bool, True)  # noqa: N815
    removeEnabled = _option("removeEnabled", bool, True)  # noqa: N815
    renameEnabled = _option("renameEnabled", bool, False)  # noqa: N815
    showChildNodeTypes = _option("showChildNodeTypes", bool, True)  # noqa: N815
    selectNodeUponCreation = _option("selectNodeUponCreation", bool, True)  # noqa: N815
    del _option

    @QtCore.Slot("vtkMRMLScene*")
    def setMRMLScene(self, scene: Any) -> None:  # noqa: N802
        """List the nodes of a scene; None ends that."""
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._scene = scene
        events = _NODES_CHANGED if scene is not None else ()
        self._tags = [scene.AddObserver(getattr(scene, name), lambda *_: self._list()) for name in events]
        if scene is not None:
            self._list()

    def currentNode(self) -> Any:  # noqa: N802
        """The chosen node; None for none."""
        return self._chosen

    def setCurrentNode(self, node: Any) -> None:  # noqa: N802
        """Choose a node; None, and one that is not listed, choose none."""
        self._list(node, is_new=True)

    def _list(self, chosen: Any = None, is_new: bool = False) -> None:
        """Make the lines anew; what was chosen stays so while it is there."""
        chosen = chosen if is_new else self._chosen
        kinds = list(self.nodeTypes)
        found = [self._scene.GetNthNode(index) for index in range(self._scene.GetNumberOfNodes())]
        shown = [node for node in found if node.GetClassName() in kinds and not node.GetHideFromEditors()]
        self._nodes = [None, *shown] if self.noneEnabled else shown
        was_blocked = self.blockSignals(True)
        self.clear()
        self.addItems(["None" if node is None else node.GetName() for node in self._nodes])
        self.setCurrentIndex(self._nodes.index(chosen) if chosen in self._nodes else 0)
        self.blockSignals(was_blocked)
        self._on_index(self.property("currentIndex"))

    def _on_index(self, row: int) -> None:
        node = self._nodes[row] if 0 <= row < len(self._nodes) else None
        if node is not self._chosen:
            self._chosen = node
            self.currentNodeChanged.emit(node)


class ctkCollapsibleButton(QtWidgets.QWidget):  # noqa: N801
    """A titled part of the panel that can be folded: it shows or hides what its layout holds."""

    contentsCollapsed = QtCore.Signal(bool)  # noqa: N815

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._collapsed = False
        self._header = QtWidgets.QToolButton(self)
        self._header.setToolButtonStyle(QtCore.Qt.ToolButtonTextBesideIcon)
        self._header.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Fixed)
        self._header.setFocusPolicy(QtCore.Qt.StrongFocus)
        font = self._header.font()
        font.setBold(True)
        self._header.setFont(font)
        self._header.clicked.connect(lambda *_: self._set_collapsed(not self._collapsed))
        self._apply()

    def _set_collapsed(self, collapsed: bool) -> None:
        if collapsed != self._collapsed:
            self._collapsed = collapsed
            self._apply()
            self.contentsCollapsed.emit(collapsed)

    def _set_text(self, text: str) -> None:
        self._header.setText(text)

    text = QtCore.Property(str, lambda self: self._header.property("text"), _set_text)
    collapsed = QtCore.Property(bool, lambda self: self._collapsed, _set_collapsed)

    def _apply(self) -> None:
        self._header.setArrowType(QtCore.Qt.RightArrow if self._collapsed else QtCore.Qt.DownArrow)
        for child in self.children():
            if child.isWidgetType() and child is not self._header:
                child.setVisible(not self._collapsed)
        self.updateGeometry()

    def childEvent(self, event: Any) -> None:  # noqa: N802
        """A widget came in while the file is read: it is folded too where the part is."""
        super().childEvent(event)
        if event.added() and self._collapsed and event.child().isWidgetType():
            event.child().setVisible(False)

    def resizeEvent(self, event: Any) -> None:  # noqa: N802
        """Keep the title at the top and the contents below it."""
        super().resizeEvent(event)
        height = self._header.sizeHint().height()
        self._header.setGeometry(0, 0, event.size().width(), height)

    def showEvent(self, event: Any) -> None:  # noqa: N802
        """Leave room for the title."""
        super().showEvent(event)
        self._make_room()

    def event(self, event: Any) -> bool:
        """Leave room for the title as soon as there is a layout."""
        if event.type() == QtCore.QEvent.LayoutRequest:
            self._make_room()
        return super().event(event)

    def _make_room(self) -> None:
        height = self._header.sizeHint().height()
        self.setMinimumHeight(height)
        if self.layout() is not None:
            self.layout().setContentsMargins(9, height + 6, 9, 6)


TWINS = (qMRMLWidget, qMRMLNodeComboBox, ctkCollapsibleButton)
