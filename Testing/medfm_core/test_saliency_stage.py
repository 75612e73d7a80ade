"""Which findings are explained, and what a wish may say."""

import pytest

from medfm_core.errors import InputError
from medfm_core.organ_finding import OrganFinding
from medfm_core.saliency_stage import MOST, check_wish, choose


def finding(name, state="present", score=0.9, threshold=0.5, organ="liver"):
    return OrganFinding(name, name, organ, state, score=score, threshold=threshold)


def test_what_is_present_is_explained_the_clearest_first():
    found = [finding("a", score=0.6), finding("b", score=0.95), finding("c", "absent"), finding("d", score=None)]
    assert [f.name for f in choose(found, ("present",))] == ["b", "a"]


def test_a_page_of_maps_is_enough():
    assert len(choose([finding(f"f{n}") for n in range(30)], ("present",))) == MOST


def test_findings_that_are_named_are_explained_whatever_their_state():
    found = [finding("a", "absent"), finding("b"), finding("a", "not_assessable", score=None, organ="spleen")]
    assert choose(found, ("a",)) == [found[0]]
    assert choose(found, ("present", "a")) == [found[0], found[1]]
    assert choose(found, ("none",)) == []


def test_a_wish_that_names_nothing_known_is_refused():
    check_wish(("present", "hepatic_steatosis"))
    with pytest.raises(InputError, match="hepatic_steatosis"):
        check_wish(("hepatic_steatosi",))
