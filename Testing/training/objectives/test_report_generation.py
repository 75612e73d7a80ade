"""Learning to write: the study decides the sentences, and who does not see it cannot know them."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch.utils.data import default_collate

from medfm_core.errors import InputError

pytest.importorskip("transformers")
from tiny_language import study, teach_language, write_language_model

from medfm_core.models.organ_inputs import arrange
from medfm_core.models.report_writer_files import load_report_writer, save_report_writer
from medfm_core.weights import check_safetensors
from training.engine.build import build_objective
from training.engine.config import read_recipe
from training.engine.draw import DrawKey
from training.engine.loop import train
from training.engine.retention import last
from training.engine.runs import load_run

RECIPES = Path(__file__).parents[3] / "training" / "recipes" / "totalfm"
TRAINED, UNSEEN = range(24), range(24, 40)  # the same eight kinds of patient, other embeddings


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A language model that knows how reports read, and studies with their reports."""
    folder = tmp_path_factory.mktemp("reports")
    teach_language(write_language_model(folder / "language-model"))
    with (folder / "reports.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["subject", "study", "embeddings", "text"])
        for number in TRAINED:
            organs, text = study(number)
            save_file(organs, folder / f"{number}.safetensors")
            table.writerow([f"s{number}", "1", f"{number}.safetensors", text])
    return folder


def tiny(place: Path, *more: str):
    files = ["--model.language_model", str(place / "language-model"), "--data.table", str(place / "reports.csv")]
    return read_recipe([RECIPES / "tiny-report-writer.yaml"], [*files, *more])


@pytest.fixture(scope="module")
def runs(place):
    """Two runs of the recipe: one sees the studies, the other does not."""
    with torch.random.fork_rng():
        train(tiny(place), place / "sighted")
        train(tiny(place, "--objective.blind", "true"), place / "blind")
    return {name: load_run(place / name)[0] for name in ("sighted", "blind")}


def unseen_batch(objective):
    pairs = [study(number) for number in UNSEEN]
    return default_collate([objective.prepare_sample({"organs": o, "text": text}, DrawKey(1, 0)) for o, text in pairs])


def test_who_sees_the_study_writes_what_the_blind_cannot_know(runs):
    losses = {}
    for name, objective in runs.items():
        with torch.no_grad():
            batch = unseen_batch(objective)
            losses[name] = objective(batch)["loss"].item()
    # Three sentences, each a coin toss for the blind, over the tokens of a report.
    tokens = (batch["tokens"] >= 0).sum(dim=1).float().mean().item()
    at_best = 3 * math.log(2) / tokens
    assert losses["blind"] > 0.97 * at_best
    assert losses["sighted"] < 0.25 * at_best


def test_the_text_names_what_each_organ_shows(runs):
    writer = runs["sighted"].exported()
    assert [writer.write(study(number)[0]) for number in UNSEEN] == [study(number)[1] for number in UNSEEN]
    texts = {runs["blind"].exported().write({}) for _ in range(2)}
    assert len(texts) == 1


def test_the_study_of_another_patient_costs_more(runs):
    objective = runs["sighted"]
    batch = unseen_batch(objective)
    with torch.no_grad():
        own = objective(batch)["loss"]
        other = objective(batch | {"embeddings": batch["embeddings"].roll(1, 0)})["loss"]
    assert other > 5 * own


def test_a_checkpoint_holds_the_trained_part_alone_and_becomes_files(place, runs, tmp_path):
    tensors = check_safetensors(last(place / "sighted" / "checkpoints").path / "model.safetensors").tensors
    assert all(name.startswith("model.writer.") for name in tensors)
    assert not any("embed_tokens" in name or "lm_head" in name for name in tensors)
    objective = runs["sighted"]
    assert {name.removeprefix("model.") for name in tensors} == set(objective.state_dict())
    save_report_writer(objective.exported(), tmp_path)
    loaded = load_report_writer(tmp_path)
    assert loaded.write(study(30)[0]) == study(30)[1]


def test_only_the_intended_parameters_move(place):
    objective = build_objective(tiny(place, "--objective.lora_rate", "2"))
    named = dict(objective.turn_parameters("all"))
    assert {name.split(".")[1] for name in named} == {
        "image_norm", "image_in", "names", "qformer", "to_language", "additions",
    }  # fmt: skip
    assert {getattr(v, "lr_scale", 1) for n, v in named.items() if ".additions." in n} == {2}
    frozen = {name: value.clone() for name, value in objective.writer.language.model.state_dict().items()}
    batch = unseen_batch(objective.train())
    objective(batch)["loss"].backward()
    torch.optim.SGD(objective.parameters(), 1.0).step()
    assert all(torch.equal(frozen[n], v) for n, v in objective.writer.language.model.state_dict().items())
    assert objective.no_decay() == {"writer.names", "writer.qformer.queries"}
    assert objective.no_decay() <= set(named)
    assert objective.encode(batch).shape == (len(UNSEEN), 32)
    assert objective.tokens_of(batch) == int((batch["tokens"] >= 0).sum())


def test_long_reports_are_cut_and_counted(place):
    objective = build_objective(tiny(place, "--objective.most_tokens", "6"))
    tokens = objective.tokens(study(0)[1])
    assert tokens.shape == (6,)
    assert tokens.min() >= 0
    short = objective.tokens("the liver")
    assert short.tolist()[3:] == [-1, -1, -1]
    embeddings, present = arrange(study(0)[0], ("liver", "spleen", "lung_left"), 8)
    batch = {"embeddings": embeddings.expand(2, -1, -1), "present": present.expand(2, -1)}
    assert objective(batch | {"tokens": torch.stack([tokens, short])})["cut"] == 0.5


def test_samples_without_organs_are_refused(place):
    objective = build_objective(tiny(place))
    with pytest.raises(InputError, match="report_pairs"):
        objective.prepare_sample({"image": torch.ones(1)}, DrawKey(1, 0))


def test_activation_checkpointing_changes_nothing(place):
    gradients = []
    for on in ("false", "true"):
        objective = build_objective(tiny(place, "--run.activation_checkpointing", on)).train()
        objective(unseen_batch(objective))["loss"].backward()
        gradients.append([value.grad for value in objective.parameters()])
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*gradients, strict=True))


def test_the_full_recipe_is_one(tmp_path):
    recipe = read_recipe([RECIPES / "report-writer.yaml"])
    assert recipe.model.qformer.queries == 32
    assert len(recipe.model.unit_names) == 117
