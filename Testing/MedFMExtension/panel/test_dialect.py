"""The stand-in for PythonQt answers as a real one did, except where `DIFFERENT` says so."""

from __future__ import annotations

from pathlib import Path

import pytest

RECORD = Path(__file__).parents[2] / "data" / "pythonqt_dialect.txt"


def recorded() -> dict[str, str]:
    """What a real PythonQt (Qt 5.15.8, Python 3.11) said, by the name of the probe."""
    found, last = {}, ""
    for line in RECORD.read_text(encoding="utf-8").splitlines():
        label, colon, value = line.partition(": ")
        if colon:
            found[label], last = value, label
        else:
            found[last] += f"\n{line}"
    return found


def told(probe) -> str:
    try:
        value = probe()
    except Exception as error:
        return f"RAISES {type(error).__name__}"
    simple = bool | int | float | str | None | list | tuple
    return str(value if isinstance(value, simple) else type(value).__name__)


def put(widget, name, value):
    setattr(widget, name, value)
    return getattr(widget, name)


def buttons(qt):
    """Probes of a button, in the order in which the record was made."""
    button, calls = qt.QPushButton("x"), []
    sub = type("Sub", (qt.QPushButton,), {})("s")
    yield "text is a property", lambda: button.text
    yield "text() call", lambda: button.text()
    yield "set text", lambda: put(button, "text", "y")
    yield "setText works", lambda: (button.setText("z"), button.text)[1]
    yield "enabled", lambda: put(button, "enabled", False)
    yield "isEnabled()", lambda: button.isEnabled()
    yield "enabled = int 1", lambda: put(button, "enabled", 1)
    yield "visible", lambda: button.visible
    yield "toolTip", lambda: put(button, "toolTip", "tip")
    yield "objectName", lambda: put(button, "objectName", "bb")
    yield "className()", lambda: button.className()
    yield "new attribute on plain widget", lambda: put(button, "foo", 1)
    yield "new attribute on Python subclass", lambda: put(sub, "foo", 1)
    yield "connect('clicked(bool)')", lambda: button.connect("clicked(bool)", lambda on: calls.append(("bool", on)))
    yield "connect('clicked()')", lambda: button.connect("clicked()", lambda: calls.append(("none",)))
    yield "connect('nosuch()')", lambda: button.connect("nosuch()", lambda: None)
    yield "connect('clicked(int)')", lambda: button.connect("clicked(int)", lambda *values: None)
    yield "clicked.connect", lambda: bool(button.clicked.connect(lambda *values: calls.append(("sig", *values))))
    button.click()
    assert sorted(map(str, calls))[:2] == ["('bool', False)", "('none',)"]
    heard = lambda *values: calls.append(("h", *values))  # noqa: E731
    button.connect("clicked(bool)", heard)
    yield "disconnect returns", lambda: button.disconnect("clicked(bool)", heard)
    yield "after disconnect h called", lambda: (calls.clear(), button.click(), any(c[0] == "h" for c in calls))[2]
    yield "isinstance QWidget", lambda: isinstance(button, qt.QWidget)
    yield "type is", lambda: type(button) is qt.QPushButton
    yield "setProperty dynamic", lambda: (button.setProperty("own", "p"), button.property("own"))[1]
    yield "property missing", lambda: button.property("nope")
    yield "blockSignals", lambda: button.blockSignals(True)
    yield "signalsBlocked()", lambda: button.signalsBlocked()
    yield "size.width()", lambda: isinstance(button.size.width(), int)
    yield "size() call", lambda: button.size()
    yield "width", lambda: isinstance(button.width, int)
    yield "width() call", lambda: isinstance(button.width(), int)


def widgets(qt):
    """Probes of other widgets."""
    spin, box, line, bar = qt.QSpinBox(), qt.QComboBox(), qt.QLineEdit(), qt.QProgressBar()
    heard, table, page = [], qt.QTableWidget(2, 2), qt.QPlainTextEdit()
    yield "spin maximum", lambda: put(spin, "maximum", 500)
    yield "spin value", lambda: put(spin, "value", 42)
    yield "spin value = '7'", lambda: put(spin, "value", "7")
    yield "spin value = 3.7", lambda: put(spin, "value", 3.7)
    yield "spin value()", lambda: spin.value()
    spin.connect("valueChanged(int)", heard.append)
    yield "valueChanged", lambda: (put(spin, "value", 9), str(heard))[1]
    box.addItem("a", "A")
    box.addItem("b", "B")
    yield "combo count", lambda: box.count
    yield "combo currentIndex", lambda: put(box, "currentIndex", 1)
    yield "combo currentText", lambda: box.currentText
    yield "combo currentData", lambda: box.currentData
    yield "combo itemData(0)", lambda: box.itemData(0)
    yield "combo findData", lambda: box.findData("A")
    yield "lineedit text", lambda: put(line, "text", "q")
    yield "lineedit text = 5", lambda: put(line, "text", 5)
    yield "progress value", lambda: put(bar, "value", 33)
    yield "progress value float", lambda: put(bar, "value", 33.0)
    yield "rowCount", lambda: put(table, "rowCount", 3)
    table.setItem(0, 0, qt.QTableWidgetItem("cell"))
    yield "item text()", lambda: table.item(0, 0).text()
    yield "setHorizontalHeaderLabels", lambda: table.setHorizontalHeaderLabels(["a", "b"])
    yield "plainText", lambda: put(page, "plainText", "hello")
    yield "toPlainText()", lambda: page.toPlainText()
    yield "appendPlainText", lambda: (page.appendPlainText("w"), page.plainText)[1]
    yield "QDialog exec_", lambda: hasattr(qt.QDialog(), "exec_")
    yield "QDialog exec", lambda: hasattr(qt.QDialog(), "exec")


def trees_and_timers(qt):
    """Probes of what holds widgets, and of time."""
    whole, layout, button, timer = qt.QWidget(), qt.QVBoxLayout(), qt.QPushButton("x"), qt.QTimer()
    yield "setLayout", lambda: whole.setLayout(layout)
    layout.addWidget(button)
    yield "layout()", lambda: whole.layout() is not None
    yield "children()", lambda: len(whole.children())
    yield "findChildren(QPushButton)", lambda: len(whole.findChildren(qt.QPushButton))
    yield "findChild name", lambda: whole.findChild(qt.QPushButton, "nn") is not None
    yield "child identity", lambda: whole.findChildren(qt.QPushButton)[0] is button
    yield "child equality", lambda: whole.findChildren(qt.QPushButton)[0] == button
    yield "parent() call", lambda: button.parent() is not None
    yield "parentWidget()", lambda: button.parentWidget() is not None
    yield "timer interval", lambda: put(timer, "interval", 5)
    yield "timer active", lambda: timer.active
    yield "isActive()", lambda: timer.isActive()
    yield "singleShot prop", lambda: put(timer, "singleShot", True)
    yield "QTimer.singleShot callable", lambda: qt.QTimer.singleShot(0, lambda: None)


def test_the_stand_in_answers_as_recorded(application):
    import qt
    from pythonqt_stand_in import DIFFERENT

    record, probed = recorded(), {}
    for probes in (buttons, widgets, trees_and_timers):
        for label, probe in probes(qt):
            probed[label] = told(probe)
    assert len(record) == 82
    wrong = {label: (value, record[label]) for label, value in probed.items() if value != record[label]}
    assert wrong == {}
    assert not set(probed) & set(DIFFERENT)
    assert len(probed) + len(DIFFERENT) >= 74


def test_what_is_different_is_in_the_record(application):
    from pythonqt_stand_in import DIFFERENT

    assert set(DIFFERENT) <= set(recorded())


def test_a_wrong_signal_is_not_passed_over_by_the_panel(application):
    import qt
    from MedFMLib.panel_qt import plain_toolkit, slicer_toolkit

    with pytest.raises(ValueError, match=r"clicked\(int\) is no signal"):
        slicer_toolkit().connect(qt.QPushButton("x"), "clicked(int)", lambda value: None)
    plain = plain_toolkit()
    with pytest.raises(ValueError, match="is no signal"):
        plain.connect(plain.qt.QPushButton("x"), "nosuch()", lambda: None)


def test_both_dialects_give_a_slot_the_values_of_the_signature(application):
    from MedFMLib.panel_qt import get, plain_toolkit, put, slicer_toolkit

    for toolkit in (slicer_toolkit(), plain_toolkit()):
        heard = []
        button = toolkit.qt.QPushButton("x")
        toolkit.connect(button, "clicked()", lambda kept=1, heard=heard: heard.append(kept))
        button.click()
        assert heard == [1]  # and not the signal's own value in the place of the default
        put(button, text="y", enabled=False)
        assert (get(button, "text"), get(button, "enabled")) == ("y", False)


@pytest.mark.parametrize("answer", ["Accept", "Do not accept"])
def test_both_dialects_ask_and_take_the_answer(application, answer):
    from MedFMLib.panel_dialogs import Dialogs
    from MedFMLib.panel_qt import plain_toolkit, slicer_toolkit
    from PySide6 import QtCore, QtWidgets

    def press():
        box = QtWidgets.QApplication.activeModalWidget()
        next(button for button in box.buttons() if QtWidgets.QPushButton.text(button) == answer).click()

    for toolkit in (slicer_toolkit(), plain_toolkit()):
        QtCore.QTimer.singleShot(50, press)
        assert Dialogs(toolkit, None).agrees("Licence", "Do you accept this?", "The text") is (answer == "Accept")
