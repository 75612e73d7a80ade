"""The report writer: an untouched language model at the start, strict files, texts without chance."""

from __future__ import annotations

import copy
import json

import pytest
import torch

from medfm_core.errors import InputError, WeightsError

pytest.importorskip("transformers")
from tiny_language import study, write_language_model

from medfm_core.models.language_model import LanguageModelPlace, load_language_model
from medfm_core.models.lora import LoraConfig
from medfm_core.models.organ_inputs import arrange
from medfm_core.models.qformer import QFormerConfig
from medfm_core.models.report_writer import ReportWriter, ReportWriterConfig, Writing
from medfm_core.models.report_writer_files import (
    DESCRIPTION,
    WEIGHTS,
    load_report_writer,
    read_description,
    save_report_writer,
)

UNITS = ("liver", "spleen", "lung_left")
SMALL = QFormerConfig(queries=4, width=16, depth=2, heads=2, mlp_width=16)
LORA = LoraConfig(2, 4.0, 0.1, ("q_proj", "v_proj"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_language_model(tmp_path_factory.mktemp("language-model"))


def make(folder, **changes) -> ReportWriter:
    values = {"language_model": str(folder), "image_width": 8, "units": UNITS}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return ReportWriter(ReportWriterConfig(**(values | {"qformer": SMALL, "lora": LORA} | changes)))


@pytest.fixture
def writer(folder):
    return make(folder)


def inputs(*numbers):
    made = [arrange(study(number)[0], UNITS, 8) for number in numbers]
    return torch.stack([e for e, _ in made]), torch.stack([p for _, p in made])


def move(writer: ReportWriter) -> None:
    with torch.no_grad():
        for addition in writer.additions.values():
            addition.up.normal_()


def test_the_language_model_is_as_it_was_until_the_additions_have_learnt(writer, folder):
    alone, tokens = load_language_model(writer.config.place()), torch.arange(3, 12)[None]
    assert torch.equal(writer.language.model(tokens).logits, alone.model(tokens).logits)
    move(writer)
    assert not torch.allclose(writer.language.model(tokens).logits, alone.model(tokens).logits)
    writer.additions.remove()
    assert torch.equal(writer.language.model(tokens).logits, alone.model(tokens).logits)


@pytest.mark.parametrize(("kind", "targets"), [("llama", ("q_proj", "v_proj")), ("gpt2", ("c_attn",))])
def test_merged_additions_cost_the_same(tmp_path, kind, targets):
    writer = make(write_language_model(tmp_path, kind), lora=LoraConfig(2, 4.0, 0.0, targets)).eval()
    move(writer)
    tokens = torch.tensor([[4, 5, 6, 2], [7, 2, -1, -1]])
    before = writer(*inputs(1, 6), tokens)
    assert before.shape == (2, 4)
    assert not before[1, 2:].any()
    writer.additions.merge()
    torch.testing.assert_close(writer(*inputs(1, 6), tokens), before, atol=1e-4, rtol=1e-4)
    writer.additions.unmerge()
    assert torch.equal(writer(*inputs(1, 6), tokens), before)


def test_a_text_costs_the_same_alone_and_among_longer_ones(writer):
    writer.eval()
    alone = writer(*inputs(3), torch.tensor([[4, 5, 2]]))
    among = writer(*inputs(3, 5), torch.tensor([[4, 5, 2, -1, -1], [4, 5, 6, 7, 2]]))
    torch.testing.assert_close(among[:1, :3], alone, atol=1e-5, rtol=1e-5)


def test_costs_are_those_of_the_next_token(writer):
    """One token at a time through the language model gives the same."""
    writer.eval()
    text, language = [4, 9, 2], writer.language
    before, costs = writer._before(*inputs(2)), []
    for place, token in enumerate(text):
        seen = torch.cat([before, language.embed(torch.tensor([text[:place]], dtype=torch.long))], dim=1)
        costs.append(-language.model(inputs_embeds=seen).logits[0, -1].log_softmax(0)[token])
    torch.testing.assert_close(writer(*inputs(2), torch.tensor([text]))[0], torch.stack(costs), atol=1e-5, rtol=1e-5)


def test_gradients_reach_what_is_trained_and_nothing_else(writer):
    move(writer)  # while `up` is zero, `down` has no gradient
    writer(*inputs(1, 2), torch.tensor([[4, 5, 2], [6, 2, -1]])).sum().backward()
    assert all(value.grad is not None and value.grad.any() for value in writer.parameters())
    assert all(value.grad is None and not value.requires_grad for value in writer.language.model.parameters())
    own = {name.split(".")[0] for name, _ in writer.named_parameters()}
    assert own == {"image_norm", "image_in", "names", "qformer", "to_language", "additions"}
    writer.train()
    assert not any(module.training for module in writer.language.model.modules())


def test_absent_organs_do_not_matter_and_units_are_told_apart(writer):
    writer.eval()
    embeddings, present = inputs(5)
    present[0, 1] = False
    first = writer.study_tokens(embeddings, present)
    embeddings[0, 1] = torch.nan
    assert torch.equal(writer.study_tokens(embeddings, present), first)
    same = torch.ones(1, 3, 8) / 8**0.5
    one, other = (torch.tensor([mask]) for mask in ([True, False, False], [False, True, False]))
    assert not torch.allclose(writer.study_tokens(same, one), writer.study_tokens(same, other))
    as_tokens = writer.study_tokens(same[:, :, None], one)
    assert torch.equal(as_tokens, writer.study_tokens(same, one))
    assert writer.study_tokens(torch.randn(2, 3, 5, 8), one.expand(2, -1)).shape == (2, 4, 16)


@pytest.mark.parametrize("how", [Writing(12), Writing(12, beams=3), Writing(6)])
def test_writing_has_no_chance_in_it(writer, how):
    move(writer)
    writer.train()
    texts = writer.generate(*inputs(1, 6), how)
    assert writer.training
    torch.manual_seed(99)
    assert writer.generate(*inputs(1, 6), how) == texts
    assert [writer.write(study(number)[0], how) for number in (1, 6)] == texts
    assert all(len(text.split()) <= how.most_tokens for text in texts)
    with pytest.raises(InputError, match="most_tokens"):
        Writing(0)


def test_saved_and_loaded_it_writes_the_same(writer, folder, tmp_path):
    move(writer)
    writer.eval().additions.merge()
    save_report_writer(writer, tmp_path / "writer", "totalfm-tiny.v2")
    assert writer.additions.is_merged
    loaded = load_report_writer(tmp_path / "writer")
    tokens = torch.tensor([[4, 5, 6, 2]])
    writer.additions.unmerge()
    assert torch.equal(loaded(*inputs(3), tokens), writer(*inputs(3), tokens))
    assert not any(value.requires_grad for value in loaded.parameters())
    assert read_description(tmp_path / "writer" / DESCRIPTION).image_encoder == "totalfm-tiny.v2"
    size = (tmp_path / "writer" / WEIGHTS).stat().st_size
    own = sum(value.numel() * 4 for value in writer.parameters())
    assert own <= size < own + 20_000


def test_a_language_model_may_lie_elsewhere_but_must_be_the_same(writer, tmp_path):
    save_report_writer(writer, tmp_path / "writer")
    same, other = write_language_model(tmp_path / "same"), write_language_model(tmp_path / "other", seed=7)
    assert load_report_writer(tmp_path / "writer", str(same)).write(study(1)[0])
    with pytest.raises(WeightsError, match="not the one"):
        load_report_writer(tmp_path / "writer", str(other))


def test_the_fingerprint_does_not_depend_on_the_precision(folder):
    in_fp32, in_bf16 = (load_language_model(LanguageModelPlace(str(folder), precision=p)) for p in ("fp32", "bf16"))
    assert in_fp32.fingerprint() == in_bf16.fingerprint()


def test_files_of_another_writer_are_refused(writer, tmp_path):
    from safetensors.torch import load_file, save_file

    place = tmp_path / "writer"
    save_report_writer(writer, place)
    state = load_file(place / WEIGHTS)
    save_file({**state, "more": torch.zeros(1)}, place / WEIGHTS)
    with pytest.raises(WeightsError, match="1 not expected"):
        load_report_writer(place)
    state.pop("names")
    save_file(state, place / WEIGHTS)
    with pytest.raises(WeightsError, match="1 missing"):
        load_report_writer(place)
    data = json.loads((place / DESCRIPTION).read_text())
    for wrong in ({**data, "version": 2}, {**data, "beam": 1}):
        (place / DESCRIPTION).write_text(json.dumps(wrong))
        with pytest.raises(WeightsError, match=r"version|beam"):
            load_report_writer(place)
    (place / DESCRIPTION).unlink()
    with pytest.raises(WeightsError, match="cannot be read"):
        load_report_writer(place)


def test_language_models_that_cannot_be_trusted_are_refused(folder, tmp_path):
    import shutil

    with pytest.raises(WeightsError, match="cannot be loaded"):
        load_language_model(LanguageModelPlace(str(tmp_path)))
    code = shutil.copytree(folder, tmp_path / "code")
    config = json.loads((code / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"}}
    (code / "config.json").write_text(json.dumps(config))
    (code / "own.py").write_text("raise SystemExit('ran')\n")
    with pytest.raises(WeightsError, match="cannot be loaded"):
        load_language_model(LanguageModelPlace(str(code)))
    pickled = shutil.copytree(folder, tmp_path / "pickled")
    torch.save({}, pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match="cannot be loaded"):
        load_language_model(LanguageModelPlace(str(pickled)))


def test_nothing_is_fetched_unless_asked(tmp_path, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("asked the network"))
    with pytest.raises(WeightsError, match="not on this machine"):
        load_language_model(LanguageModelPlace("hf:nobody/nothing"))
    with pytest.raises(WeightsError, match="owner/name"):
        load_language_model(LanguageModelPlace("hf:no/bo/dy"))
    with pytest.raises(WeightsError, match="no folder"):
        load_language_model(LanguageModelPlace("nobody/nothing"))


def test_studies_of_another_encoder_are_refused(writer):
    organs, _ = study(0)
    with pytest.raises(InputError, match="'liverr' \\(nearest: liver"):
        writer.write({"liverr": organs["liver"]})
    with pytest.raises(InputError, match="8 channels"):
        writer.write({"liver": torch.ones(9)})
    with pytest.raises(InputError, match="shapes"):
        writer.write({"liver": torch.ones(8), "spleen": torch.ones(2, 8)})
    with pytest.raises(InputError, match="not finite"):
        writer.write({"liver": torch.full((8,), torch.inf)})
    with pytest.raises(InputError, match="3 organ units"):
        writer.study_tokens(torch.ones(1, 4, 8), torch.ones(1, 4, dtype=torch.bool))


def test_without_units_those_of_the_vocabulary_are_meant(folder):
    assert len(ReportWriterConfig(str(folder), 8).unit_names) == 117


def test_a_copy_is_a_writer_of_its_own(writer):
    other = copy.deepcopy(writer.eval())
    tokens = torch.tensor([[4, 5, 2]])
    before = writer(*inputs(1), tokens)
    assert torch.equal(other(*inputs(1), tokens), before)
    move(other)
    assert torch.equal(writer(*inputs(1), tokens), before)
    assert not torch.allclose(other(*inputs(1), tokens), before)


def test_a_language_model_in_bf16_teaches_the_same_parts(folder):
    writer = make(folder, precision="bf16")
    move(writer)
    costs = writer(*inputs(1, 2), torch.tensor([[4, 5, 2], [6, 2, -1]]))
    costs.sum().backward()
    assert costs.dtype == torch.float32
    assert torch.isfinite(costs).all()
    assert all(value.dtype == torch.float32 and value.grad.any() for value in writer.parameters())
    assert len(writer.generate(*inputs(1, 6), Writing(4))) == 2


def test_the_language_model_moves_along(writer):
    writer.double().eval()
    embeddings, present = inputs(1)
    costs = writer(embeddings.double(), present, torch.tensor([[4, 2]]))
    assert torch.isfinite(costs).all()
    assert {value.dtype for value in writer.language.model.parameters()} == {torch.float64}
