"""Every bad input ends in one sentence that says what, where and what to do, without naming a patient."""

from __future__ import annotations

from pathlib import Path

import pytest
from bad_inputs import BAD_INPUTS, BadInput
from dicom_maker import SECRETS

from medfm_core.errors import MedFMError
from medfm_core.io import read_header, read_volume


def test_there_are_many_and_their_names_differ() -> None:
    names = [case.name for case in BAD_INPUTS]
    assert len(names) >= 30
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("case", BAD_INPUTS, ids=lambda case: case.name)
def test_bad_input(case: BadInput, tmp_path: Path) -> None:
    source = case.build(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(MedFMError) as caught:
        read_volume(source, series=case.series)
    sentence = str(caught.value)
    assert isinstance(caught.value, case.error), repr(caught.value)
    for word in case.words:
        assert word in sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert len(sentence) < 600
    assert not [secret for secret in SECRETS if secret in sentence]
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("case", BAD_INPUTS, ids=lambda case: case.name)
def test_header_of_bad_input(case: BadInput, tmp_path: Path) -> None:
    """The header may be fine where only the voxels are bad; nothing but a MedFMError may come out."""
    try:
        header = read_header(case.build(tmp_path), case.series)
    except MedFMError:
        return
    assert header.bytes > 0
