"""The panel and the runtime take a name for the same sequence."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from MedFMLib.mr_sequence import SEQUENCES, scan_names, sequence_of

from medfm_core import brain_sequence
from medfm_core.brain_study import scan_name

_WORDS = (
    "t1", "T1w", "t2", "t2w", "FLAIR", "T2*", "swi", "mprage", "tirm", "dark fluid", "ax", "_", " ", "-", "3D", "bravo",
    "t1 flair", "gre", "post", "Gd", "weighted", "dwi", "ce",
)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(_WORDS), max_size=5).map("".join))
def test_both_say_the_same(name):
    assert sequence_of(name) == (brain_sequence.sequence_of(name) or "")


def test_the_sequences_are_the_runtimes():
    assert SEQUENCES == brain_sequence.SEQUENCES


@pytest.mark.parametrize("sequences", [("T1w",), ("T1w", "FLAIR", "T1w"), ("T2w", "T2w", "T2w")])
def test_scans_are_called_as_in_the_result(sequences):
    numbers = [sequences[:index].count(name) for index, name in enumerate(sequences)]
    assert list(scan_names(sequences)) == [scan_name(n, i) for n, i in zip(sequences, numbers, strict=True)]
