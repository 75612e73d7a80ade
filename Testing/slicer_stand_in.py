"""What Slicer's application puts around a scripted module, for tests that have slicer-core alone.

Base classes of modules, the wrapper of parameter nodes as far as the module uses it, translation, the application.
"""

from __future__ import annotations

import os
import sys
import types
import typing
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import slicer
import slicer.util
from pythonqt_stand_in import flat, make_ctk, make_qt

from medfm_core.desktop import twins

MODULE = Path(__file__).resolve().parents[1] / "MedFMExtension" / "MedFM" / "MedFM.py"


class ScriptedLoadableModule:
    def __init__(self, parent: Any) -> None:
        self.parent = parent


class ScriptedLoadableModuleWidget:
    def __init__(self, parent: Any = None) -> None:
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.parent, self.layout = parent, parent.layout()
        self.reloads = 0

    def resourcePath(self, name: str) -> str:  # noqa: N802
        return str(MODULE.parent / "Resources" / name)

    def setup(self) -> None:
        pass

    def onReload(self) -> None:  # noqa: N802
        self.reloads += 1


class ScriptedLoadableModuleLogic:
    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")

    def getParameterNode(self) -> Any:  # noqa: N802
        scene, kind = slicer.mrmlScene, "vtkMRMLScriptedModuleNode"
        found = scene.GetSingletonNode(self.moduleName, kind)
        if found is None:
            found = scene.CreateNodeByClass(kind)
            found.UnRegister(None)
            found.SetSingletonTag(self.moduleName)
            found.SetModuleName(self.moduleName)
            found = scene.AddNode(found)
        return found


class ScriptedLoadableModuleTest(unittest.TestCase):
    def delayDisplay(self, message: str, *_: Any) -> None:  # noqa: N802
        pass


def parameter_node_wrapper(cls: type) -> type:
    """Members with annotations become values of a scripted module node."""
    for name, kind in typing.get_type_hints(cls).items():
        setattr(cls, name, _Member(name, kind, vars(cls).get(name)))
    cls.__init__ = lambda self, node: setattr(self, "parameterNode", node)
    cls.connectGui, cls.disconnectGui = _connect_gui, _disconnect_gui
    return cls


class _Member:
    def __init__(self, name: str, kind: type, default: Any) -> None:
        self.name, self.kind, self.default = name, kind, default

    def __get__(self, owner: Any, cls: Any = None) -> Any:
        if owner is None:
            return self
        if self.kind not in (str, bool):
            return owner.parameterNode.GetNodeReference(self.name)
        said = owner.parameterNode.GetParameter(self.name)
        if not owner.parameterNode.GetParameterNames() or self.name not in owner.parameterNode.GetParameterNames():
            return self.default
        return said == "true" if self.kind is bool else said

    def __set__(self, owner: Any, value: Any) -> None:
        if self.kind not in (str, bool):
            owner.parameterNode.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
        elif not isinstance(value, self.kind):
            raise TypeError(f"{self.name} takes {self.kind.__name__}, not {type(value).__name__}")
        else:
            owner.parameterNode.SetParameter(self.name, str(value).lower() if self.kind is bool else value)


def _connect_gui(self: Any, ui: Any) -> Any:
    """Bind the node selectors that name a member, both ways as far as a test needs it."""
    bound = []
    for widget in vars(ui).values():
        name = widget.property("SlicerParameterName")
        if name:
            assert isinstance(getattr(type(self), name), _Member), f"{name} is no member"
            widget.setCurrentNode(getattr(self, name))

            def keep(node: Any, name: str = name) -> None:
                setattr(self, name, node)

            assert widget.connect("currentNodeChanged(vtkMRMLNode*)", keep)
            bound.append((widget, keep))
    assert bound, "no widget names a member"
    return bound


def _disconnect_gui(self: Any, tag: Any) -> None:
    for widget, keep in tag:
        widget.disconnect("currentNodeChanged(vtkMRMLNode*)", keep)


class Application:
    """As much of `slicer.app` as the module uses."""

    def __init__(self) -> None:
        self.after_startup: list[Any] = []

    def connect(self, signature: str, slot: Any) -> bool:
        assert signature == "startupCompleted()"
        self.after_startup.append(slot)
        return True

    def processEvents(self) -> None:  # noqa: N802
        from PySide6.QtWidgets import QApplication

        QApplication.processEvents()

    def startupEnvironment(self) -> Any:  # noqa: N802
        class Environment(dict):
            value = dict.get

        return Environment(os.environ)


@contextmanager
def slicer_application() -> Iterator[Any]:
    """Put everything in its place, and take it away again; gives the module `slicer`."""
    from PySide6.QtWidgets import QApplication

    application = QApplication.instance() or QApplication(["test"])
    made = {"qt": make_qt(), "ctk": make_ctk()}
    base = made["slicer.ScriptedLoadableModule"] = types.ModuleType("slicer.ScriptedLoadableModule")
    for cls in (
        ScriptedLoadableModule, ScriptedLoadableModuleWidget, ScriptedLoadableModuleLogic, ScriptedLoadableModuleTest
    ):  # fmt: skip
        setattr(base, cls.__name__, cls)
    wrapper = made["slicer.parameterNodeWrapper"] = types.ModuleType("slicer.parameterNodeWrapper")
    wrapper.parameterNodeWrapper = parameter_node_wrapper
    words = made["slicer.i18n"] = types.ModuleType("slicer.i18n")
    words.tr, words.translate = (lambda text: text), (lambda context, text: text)
    sample = made["SampleData"] = types.ModuleType("SampleData")
    sample.registered = []
    sample.SampleDataLogic = types.SimpleNamespace(
        registerCustomSampleDataSource=lambda **facts: sample.registered.append(facts)
    )
    before = {name: sys.modules.get(name) for name in made}
    had_app = getattr(slicer, "app", None)
    sys.modules.update(made)
    slicer.app, slicer.qMRMLWidget = Application(), flat(twins.qMRMLWidget)
    try:
        yield slicer
    finally:
        for name, module in before.items():
            sys.modules.pop(name) if module is None else sys.modules.__setitem__(name, module)
        slicer.app = had_app
        application.processEvents()
