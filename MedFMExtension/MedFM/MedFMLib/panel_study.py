"""Questions in free text, similar studies, and embeddings for other programs."""

from __future__ import annotations

from typing import Any

from .panel_dialogs import Dialogs
from .panel_qt import Toolkit, chosen_of, fill, get, put, say, show, stretch
from .studies import FreeTextAnswer, Neighbour
from .view_model import PanelModel

_KINDS = "Table (*.csv);;Arrays (*.npz)"


class StudyPage:
    """Asks the worker about the result that is shown."""

    def __init__(self, ui: Any, model: PanelModel, toolkit: Toolkit, dialogs: Dialogs) -> None:
        self._ui, self._model, self._qt, self._dialogs = ui, model, toolkit.qt, dialogs
        self._neighbours: tuple[Neighbour, ...] | None = None
        toolkit.connect(ui.askButton, "clicked()", self._on_ask)
        toolkit.connect(ui.phraseEdit, "returnPressed()", self._on_ask)
        toolkit.connect(ui.phraseEdit, "textChanged(QString)", lambda text: self._refresh_ask())
        toolkit.connect(ui.similarButton, "clicked()", self._on_similar)
        toolkit.connect(ui.exportButton, "clicked()", self._on_export)
        stretch(ui.similarTree, toolkit.qt.QHeaderView)

    def refresh(self) -> None:
        """Show what is known."""
        ui, study = self._ui, self._model.study
        titles = self._model.run.result.title_of if self._model.run.result is not None else str
        organs = tuple((organ, titles(organ), "") for organ in study.organs)
        fill(ui.organBox, organs, chosen_of(ui.organBox), self._qt.Qt.ToolTipRole)
        self._refresh_ask()
        question = study.question
        asked = _answer(question.answer) if question.answer is not None else question.problem
        say(ui.answerLabel, "Asking…" if question.is_busy else asked)
        put(ui.similarButton, enabled=study.has_files and not study.similar.is_busy)
        put(ui.exportButton, enabled=study.has_files and not study.export.is_busy)
        self._show_neighbours(study.similar.answer)
        say(ui.studyLabel, self._told())

    def _refresh_ask(self) -> None:
        ui, study = self._ui, self._model.study
        can = bool(study.organs) and bool(get(ui.phraseEdit, "text").strip()) and not study.question.is_busy
        put(ui.askButton, enabled=can)
        put(ui.organBox, enabled=bool(study.organs))

    def _told(self) -> str:
        study, lines = self._model.study, []
        if study.similar.is_busy or study.export.is_busy:
            lines.append("Working…")
        if study.similar.answer == ():
            lines.append("No other result with embeddings of the same model is in that folder.")
        if study.export.answer:
            lines.append(f"The embeddings are in {study.export.answer}.")
        return "\n".join(filter(None, (*lines, study.similar.problem, study.export.problem)))

    def _show_neighbours(self, neighbours: tuple[Neighbour, ...] | None) -> None:
        show(self._ui.similarTree, bool(neighbours))
        if neighbours == self._neighbours:
            return
        self._neighbours = neighbours
        self._ui.similarTree.clear()
        for neighbour in neighbours or ():
            item = self._qt.QTreeWidgetItem()
            state = neighbour.state.replace("_", " ")
            for column, text in enumerate((neighbour.study, f"{neighbour.similarity:.3f}", state)):
                item.setText(column, text)
            self._ui.similarTree.addTopLevelItem(item)

    def _on_ask(self) -> None:
        phrase, organ = get(self._ui.phraseEdit, "text").strip(), chosen_of(self._ui.organBox)
        if phrase and organ and not self._model.study.question.is_busy:
            self._model.study.ask(organ, phrase)

    def _on_similar(self) -> None:
        folder = self._dialogs.folder("Folder of results to compare with")
        if folder:
            self._model.study.find_similar(folder)

    def _on_export(self) -> None:
        path = self._dialogs.new_file("Write the embeddings", "embeddings.csv", _KINDS)
        if path:
            self._model.study.export_embeddings(path)


def _answer(answer: FreeTextAnswer) -> str:
    low, high = answer.spread
    lines = [f"“{answer.phrase}”: {answer.score:.2f}; single sentences {low:.2f} to {high:.2f}.", *answer.notes]
    return "\n".join((*lines, *(f"The catalogue says: {sentence}" for sentence in answer.catalogue)))
