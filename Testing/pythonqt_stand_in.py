"""Qt with PythonQt's manners, on PySide6: what the panel meets inside Slicer, for tests that run without it.

Recorded on a real PythonQt (`Testing/data/pythonqt_dialect.txt`): properties are attributes, signals are connected by
their signature, plain widgets take no new attributes, and classes are flat. `DIFFERENT` names what is not imitated.
"""

from __future__ import annotations

import re
import types
from typing import Any

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

from medfm_core.desktop import twins

_PARTS = (QtCore, QtGui, QtWidgets)
# Virtual in C++, where an attribute would count as an override; or hidden by a static function in PythonQt too.
_NO_ATTRIBUTES = {"sizeHint", "minimumSizeHint", "singleShot"}
DIFFERENT = {
    "calls": "a slot of any number of values that is connected by `.clicked.connect` gets none of them from PySide6",
    "name attribute": "Slicer builds PythonQt with this alias of objectName, the recorded build had none",
    "lineedit text = None": "PySide6 gives an empty text back, PythonQt None",
    "Qt.WaitCursor": "enumerations of PySide6 are no whole numbers",
    "Qt.CursorShape.WaitCursor": "likewise",
    "QMessageBox.Ok": "likewise",
    "ItemDataRole": "likewise",
    "or flags": "likewise",
    "qt.Signal": "refused: in Slicer it is there and crashes",
}
_made: dict[type, type] = {}
_is_loading = False  # PySide6 names the children of what it loads as attributes of the whole


class _Attribute:
    """A property of Qt as an attribute of Python."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, widget: Any, owner: Any = None) -> Any:
        return self if widget is None else widget.property(self.name)

    def __set__(self, widget: Any, value: Any) -> None:
        kind = type(widget.property(self.name))
        if kind in (bool, int, float) and not isinstance(value, bool | int | float):
            raise AttributeError(f"{self.name} takes no {type(value).__name__}")
        if kind is str:
            value = "" if value is None else str(value)
        elif kind in (bool, int, float):
            value = kind(value)
        widget.setProperty(self.name, value)


class _Manners:
    """What every object of PythonQt does otherwise."""

    _is_plain = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in ("connect", "disconnect"):  # PySide6 looks for them in the class itself
            setattr(cls, name, vars(_Manners)[name])

    def connect(self, signature: str, slot: Any) -> bool:
        signal = _signal(self, signature)
        if signal is None:
            print(f"{self.className()} has no signal {signature}")
            return False
        count = _count(signature)
        kept = self.__dict__.setdefault("_slots", {})
        kept[signature, slot] = _of_so_many(slot, count)
        signal.connect(kept[signature, slot])
        return True

    def disconnect(self, signature: str, slot: Any) -> bool:
        kept = self.__dict__.get("_slots", {}).pop((signature, slot), None)
        return kept is not None and bool(_signal(self, signature).disconnect(kept))

    def className(self) -> str:  # noqa: N802
        return self.metaObject().className()

    @property
    def name(self) -> str:
        return self.property("objectName")

    @name.setter
    def name(self, value: str) -> None:
        self.setObjectName(value)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _NO_ATTRIBUTES:
            raise AttributeError(f"{name} is a function")
        if (
            not _is_loading
            and type(self).__dict__.get("_is_plain")
            and not name.startswith("_")
            and not hasattr(type(self), name)
        ):
            raise AttributeError(f"{name} does not exist, and plain objects take no new attributes")
        super().__setattr__(name, value)


def _of_so_many(slot: Any, count: int) -> Any:
    """The slot with so many values: by their number PySide6 chooses among signals of one name."""
    return (lambda: slot(), lambda first: slot(first), lambda first, second: slot(first, second))[count]


def _count(signature: str) -> int:
    inner = signature[signature.index("(") + 1 : signature.rindex(")")]
    return len([kind for kind in inner.split(",") if kind.strip()])


def _signal(widget: Any, signature: str) -> Any:
    """The signal of exactly this signature; None where there is none."""
    asked = _plain(signature)
    meta = widget.metaObject()
    methods = [meta.method(index) for index in range(meta.methodCount())]
    kinds = {
        _plain(bytes(method.methodSignature().data()).decode())
        for method in methods
        if method.methodType() == QtCore.QMetaMethod.MethodType.Signal
    }
    name = asked.partition("(")[0]
    is_node = "vtkMRML" in signature and f"{name}(PyObject)" in kinds
    return getattr(widget, name) if asked in kinds or is_node else None


def _plain(signature: str) -> str:
    return re.sub(r"\s|const|&|\*", "", signature)


def flat(cls: Any) -> Any:
    """The class with PythonQt's manners; what is no object of Qt stays as it is."""
    if not (isinstance(cls, type) and issubclass(cls, QtCore.QObject)):
        return cls
    if cls not in _made:
        root = next(base for base in cls.__mro__ if base.__module__.startswith("PySide6"))
        meta = root.staticMetaObject
        names = {meta.property(index).name() for index in range(meta.propertyCount())} - _NO_ATTRIBUTES
        own = {name for base in cls.__mro__ if not base.__module__.startswith("PySide6") for name in vars(base)}
        body: dict[str, Any] = {name: _Attribute(name) for name in names - (own if root is not cls else set())}
        body |= {"_is_plain": True, "__module__": "qt"}
        body["findChildren"] = lambda self, kind, *name: cls.findChildren(self, _root(kind), *name)
        body["findChild"] = lambda self, kind, *name: cls.findChild(self, _root(kind), *name)
        if hasattr(cls, "exec"):
            body["exec_"] = lambda self, *values: cls.exec(self, *values)
        if cls is QtCore.QTimer:
            body["singleShot"] = staticmethod(lambda ms, slot: QtCore.QTimer.singleShot(ms, slot))
        try:
            _made[cls] = type(cls)(cls.__name__, (_Manners, cls), body)
        except TypeError:  # a class that nothing can be derived from
            _made[cls] = cls
    return _made[cls]


def _root(kind: Any) -> Any:
    """The class of PySide6 or of ours behind one with PythonQt's manners."""
    return next((plain for plain, made in _made.items() if made is kind), kind)


class _Loader(QtUiTools.QUiLoader):
    """Makes the widgets of a .ui file, all with PythonQt's manners."""

    def load(self, *given: Any) -> Any:
        global _is_loading
        _is_loading = True
        try:
            return super().load(*given)
        finally:
            _is_loading = False

    def createWidget(self, class_name: str, parent: Any = None, name: str = "") -> Any:  # noqa: N802
        known = {twin.__name__: twin for twin in twins.TWINS}
        cls = known.get(class_name) or getattr(QtWidgets, class_name)
        widget = flat(cls)(parent) if parent is not None else flat(cls)()
        widget.setObjectName(name)
        return widget


def make_qt() -> types.ModuleType:
    """The module `qt`."""
    made = types.ModuleType("qt")

    def find(name: str) -> Any:
        if name == "QUiLoader":
            return _Loader
        for part in _PARTS:
            if name not in ("Signal", "Slot") and hasattr(part, name):
                setattr(made, name, flat(getattr(part, name)))
                return getattr(made, name)
        raise AttributeError(f"qt has no {name}")

    made.__getattr__ = find
    return made


def make_ctk() -> types.ModuleType:
    """The module `ctk`, as far as the panel uses it."""
    made = types.ModuleType("ctk")
    made.ctkCollapsibleButton = flat(twins.ctkCollapsibleButton)
    return made
