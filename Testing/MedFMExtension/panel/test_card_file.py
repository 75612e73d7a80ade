"""A model that is named by the file of its card, under Advanced."""

from __future__ import annotations

from panel_desk import FAR, LISTED, ORGANS, PLANNED, SCORES

PATH = "/models/mine.v1.json"
MINE = {**ORGANS, "id": "mine.v1", "title": "Mine", "place": "file", "default": True}


def apply(desk, path):
    """Name a card and press the button; the worker that it starts has listed the models."""
    desk.dialogs.path = path
    if path:
        desk.ui.cardButton.click()
    else:
        desk.ui.cardEdit.text = ""
    desk.ui.applySettingsButton.click()
    desk.tick()
    desk.probe()
    desk.answer("models", **LISTED)


def entries(box):
    return [box.itemText(row) for row in range(box.count)]


def test_its_model_is_listed_chosen_and_run(desk):
    desk.ready()
    apply(desk, PATH)
    assert desk.worker.last("model")["arguments"] == {"model": PATH}
    desk.answer("model", summary=MINE, card={}, licence_text="")
    ui = desk.ui
    assert entries(ui.modelBox) == ["Organs, small", "Mine"]  # the default one stays the default one
    assert ui.modelBox.currentText == "Mine"
    assert "in a folder" in ui.modelLabel.text
    assert desk.worker.last("plan")["arguments"]["model"] == PATH
    assert desk.widget.logic.getParameterNode().model == PATH
    desk.answer("plan", **PLANNED)
    ui.runButton.click()
    desk.tick()
    assert desk.worker.last("analyze")["arguments"]["model"] == PATH


def test_a_card_of_findings_is_chosen_for_findings(desk):
    desk.ready()
    apply(desk, PATH)
    desk.answer("model", summary={**SCORES, "title": "My scores", "place": "file"}, card={}, licence_text="")
    assert desk.ui.findingsBox.currentText == "My scores"
    assert desk.model.choices.findings_model == PATH
    assert desk.ui.modelBox.currentText == "Organs, small"


def test_what_is_wrong_with_a_card_is_said_and_changes_no_choice(desk):
    desk.ready()
    apply(desk, PATH)
    desk.answer("model", "error", kind="InputError", sentence="There is no such card.", exit_code=2)
    assert "There is no such card." in desk.ui.modelLabel.text
    assert entries(desk.ui.modelBox) == ["Organs, small"]
    for path, summary, words in (
        ("/a.json", {**MINE, "task": "text"}, "Mine is a model for text, which the panel does not run."),
        ("/b.json", {**FAR, "title": "Mine"}, "The weights of Mine are not here: fetch or import them."),
    ):
        apply(desk, path)
        desk.answer("model", summary=summary, card={}, licence_text="")
        assert words in desk.ui.modelLabel.text
        assert desk.ui.modelBox.currentText == "Organs, small"


def test_it_is_kept_for_the_next_session_and_can_be_taken_back(desk):
    desk.ready()
    apply(desk, PATH)
    desk.answer("model", summary=MINE, card={}, licence_text="")
    assert desk.widget.logic.settings()["Card"] == PATH
    apply(desk, "")
    assert entries(desk.ui.modelBox) == ["Organs, small"]
    assert desk.ui.modelBox.currentText == "Organs, small"
    assert "model" not in desk.worker.last("plan")["arguments"]
    desk.model.weights.card.name(PATH, is_new=False)  # as at the start of a session
    desk.model.weights.refresh()
    desk.model.choose(desk.model.choices.__class__())
    desk.answer("models", **LISTED)
    desk.answer("model", summary=MINE, card={}, licence_text="")
    assert entries(desk.ui.modelBox) == ["Organs, small", "Mine"]
    assert desk.ui.modelBox.currentText == "Organs, small"
