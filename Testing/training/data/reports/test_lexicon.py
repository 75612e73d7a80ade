"""The cue lists name what exists, and complain about what does not."""

import pytest

from medfm_core.errors import InputError
from training.data.reports.lexicon import FOLDER, load_lexicon
from training.data.reports.places import family, members
from training.synthetic.contrast import PHASES
from training.synthetic.lesions import KINDS


def test_every_organ_is_of_the_vocabulary():
    lexicon = load_lexicon()
    for entry, _ in lexicon.organs:
        for name in (entry.organ, entry.left, entry.right):
            assert name is None or members(name)
    assert all(family(kind.entry) for kind in lexicon.findings.values())


def test_every_kind_of_the_virtual_patients_and_every_phase_is_known():
    lexicon = load_lexicon()
    assert set(KINDS) <= set(lexicon.findings)
    assert set(lexicon.phases) == set(PHASES)


def test_a_wrong_entry_is_named(tmp_path):
    for file in FOLDER.glob("*.yaml"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "findings.yaml").write_text("- {name: cyst, organ: liver, cuse: [cyst]}\n")
    with pytest.raises(InputError, match="cuse"):
        load_lexicon(tmp_path)
