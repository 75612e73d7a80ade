"""Which organ fits which sentence: what is known settles it, the rest stays out of the loss."""

import torch

from training.objectives.pair_relations import FITS, MISFITS, UNSETTLED, Organs, Sentences, relate

CYST, STONE, NODULE = 0, 1, 2
KIDNEY_LEFT, KIDNEY_RIGHT, LUNG = 0, 1, 2
RELEVANT = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.bool)


def organs(*rows):
    units = torch.tensor([unit for unit, _ in rows])
    return Organs(units, torch.tensor([truth for _, truth in rows], dtype=torch.int8), RELEVANT[units])


def sentences(*rows):
    """Rows of (finding, says, detailed, own), one sentence per sample."""
    finding, says, detailed, own = zip(*rows, strict=True)
    return Sentences(*(torch.tensor(v)[:, None] for v in (finding, says, detailed, own)))


def relation(o, s):
    return relate(o, s)[0][:, :, 0].tolist()


def test_truth_settles_sentences_on_the_same_organ():
    o = organs((KIDNEY_LEFT, [1, -1, 0]), (KIDNEY_LEFT, [-1, 1, 0]), (KIDNEY_LEFT, [0, -1, 0]))
    s = sentences((CYST, 1, False, True), (CYST, -1, False, True), (STONE, -1, False, True))
    assert relation(o, s) == [
        [FITS, MISFITS, FITS],
        [MISFITS, FITS, MISFITS],
        [UNSETTLED, UNSETTLED, FITS],
    ]


def test_sentences_on_another_organ_misfit_unless_both_can_have_the_finding():
    o = organs((KIDNEY_LEFT, [1, -1, 0]), (KIDNEY_RIGHT, [1, -1, 0]), (LUNG, [0, 0, 1]))
    s = sentences((CYST, 1, False, True), (CYST, 1, False, True), (NODULE, 1, False, True))
    assert relation(o, s) == [
        [FITS, UNSETTLED, MISFITS],
        [UNSETTLED, FITS, MISFITS],
        [MISFITS, MISFITS, FITS],
    ]


def test_sizes_of_another_patient_are_no_positive_but_denials_are():
    o = organs((KIDNEY_LEFT, [1, -1, 0]), (KIDNEY_LEFT, [1, -1, 0]))
    s = sentences((CYST, 1, True, True), (STONE, -1, True, False))
    assert relation(o, s) == [[FITS, FITS], [UNSETTLED, FITS]]


def test_normal_fits_only_an_organ_of_which_everything_is_known_to_be_absent():
    o = organs((KIDNEY_LEFT, [-1, -1, 0]), (KIDNEY_LEFT, [-1, 0, 0]), (KIDNEY_LEFT, [1, -1, 0]), (LUNG, [0, 0, -1]))
    s = sentences(*[(-1, -1, False, False)] * 4)
    assert relation(o, s) == [
        [FITS, FITS, FITS, MISFITS],
        [UNSETTLED, UNSETTLED, UNSETTLED, MISFITS],
        [MISFITS, MISFITS, MISFITS, MISFITS],
        [MISFITS, MISFITS, MISFITS, FITS],
    ]


def test_turning_truth_and_sentence_around_changes_nothing():
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        unit = torch.randint(0, 3, (5,), generator=generator)
        truth = torch.randint(-1, 2, (5, 3), generator=generator).to(torch.int8)
        finding = torch.randint(0, 3, (5, 4), generator=generator)
        says = torch.randint(0, 2, (5, 4), generator=generator) * 2 - 1
        plain = torch.zeros(5, 4, dtype=torch.bool)
        one, same = relate(Organs(unit, truth, RELEVANT[unit]), Sentences(finding, says, plain, plain))
        two, _ = relate(Organs(unit, -truth, RELEVANT[unit]), Sentences(finding, -says, plain, plain))
        within = same.expand_as(one)
        assert torch.equal(one[within], two[within])
