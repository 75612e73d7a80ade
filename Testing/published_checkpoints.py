"""Made-up checkpoints under the published names and layouts, of the sizes that a card says, with random weights.

    PYTHONPATH=. nice -n 15 python Testing/published_checkpoints.py merlin.v1 ct.nii.gz

does the whole way at the published size: the files are served by a hub on this machine, pulled, converted, loaded and
run on a scan; peak memory and seconds are printed.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import brainiac_layout
import ct_clip_layout
import torch

from medfm_core.card_library import load_card
from medfm_core.cards import ModelCard
from medfm_core.findings_model import architecture_of
from medfm_core.models.brainiac import BrainIACConfig
from medfm_core.models.neuro_jepa import NeuroJepaConfig
from medfm_core.models.neuro_jepa_names import published_shapes as neuro_jepa_shapes
from medfm_core.models.published_text import text_encoder_shapes
from medfm_core.models.totalfm_weights import published_shapes as totalfm_shapes
from medfm_core.strict import from_dict
from medfm_core.text_towers import text_encoder_of, tokenizer_card

WORDS = ("there", "is", "no", "a", "of", "normal", "cyst", "liver", "spleen", "heart", "large", ".", ",")
CT_CLIP_WORDS = ("is", "not", "present", "lung", "nod", "##ule", "hernia", ".")


def random_state(shapes: Mapping[str, tuple[int, ...]], dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """Tensors of these shapes, drawn so that values neither fade nor grow on the way through a deep network."""
    drawn = torch.Generator().manual_seed(0)
    state = {}
    for name, shape in shapes.items():
        leaf = name.rsplit(".", 1)[-1]
        if 0 in shape:
            state[name] = torch.zeros(shape, dtype=dtype)
        elif leaf in ("num_batches_tracked", "counts"):
            state[name] = torch.zeros(shape, dtype=torch.int64)
        elif leaf in ("running_var", "gamma", "q_scale", "k_scale") or (leaf == "weight" and len(shape) == 1):
            state[name] = torch.ones(shape, dtype=dtype)
        elif len(shape) < 2:
            state[name] = torch.zeros(shape, dtype=dtype)
        else:
            state[name] = (torch.randn(shape, generator=drawn) / math.sqrt(math.prod(shape[1:]))).to(dtype)
    return state


def totalfm_checkpoint(card: ModelCard) -> bytes:
    """A trainer's checkpoint of TotalFM's release: tensors under `model_state_dict`, plain values beside them."""
    config, text = architecture_of(card)
    width = config.embedding_width
    head = {"text_proj.weight": (width, text.text_width), "text_proj.bias": (width,)}
    state = random_state(totalfm_shapes(config) | head)
    state |= {"logit_scale": torch.full((1,), math.log(1 / 0.07)), "logit_bias": torch.full((1,), -10.0)}
    encoder = random_state(text_encoder_shapes(text_encoder_of(card)), torch.bfloat16)
    state |= {f"text_encoder.{name}": value for name, value in encoder.items()}
    return saved({"epoch": 3, "best_loss": 0.5, "model_state_dict": state})


def merlin_shapes(blocks: tuple[int, ...], width: int, embedding: int, classes: int = 1692) -> dict[str, tuple]:
    """Names and shapes of Merlin's image encoder as published, written down from its layers."""
    shapes = {"conv1.weight": (width, 3, 3, 7, 7), **_batch_norm("bn1", width)}
    channels = width
    for stage, count in enumerate(blocks, 1):
        middle = width * 2 ** (stage - 1)
        for block in range(count):
            at = f"layer{stage}.{block}."
            shapes[at + "conv1.weight"] = (middle, channels, 1, 1, 1)
            shapes[at + "conv2.weight"] = (middle, middle, 3, 3, 3)
            shapes[at + "conv3.weight"] = (4 * middle, middle, 1, 1, 1)
            for number, wide in ((1, middle), (2, middle), (3, 4 * middle)):
                shapes |= _batch_norm(f"{at}bn{number}", wide)
            if block == 0:
                shapes[at + "downsample.0.weight"] = (4 * middle, channels, 1, 1, 1)
                shapes |= _batch_norm(at + "downsample.1", 4 * middle)
            channels = 4 * middle
    shapes["classifier.weight"], shapes["classifier.bias"] = (classes, channels, 1, 1, 1), (classes,)
    shapes["contrastive_head.weight"], shapes["contrastive_head.bias"] = (embedding, channels, 1, 1, 1), (embedding,)
    return {f"encode_image.i3_resnet.{name}": shape for name, shape in shapes.items()}


def merlin_checkpoint(card: ModelCard) -> bytes:
    """Merlin's flat checkpoint; the positions that older transformers kept in it are there too."""
    config, text = architecture_of(card)
    width, encoder = config.embedding_width, text_encoder_shapes(text_encoder_of(card))
    beside = {"linear_layer.weight": (width, text.text_width), "linear_layer.bias": (width,)}
    beside |= {f"text_encoder.{name}": shape for name, shape in encoder.items()}
    state = random_state(merlin_shapes(config.blocks, config.width, width))
    state |= random_state({f"encode_text.{name}": shape for name, shape in beside.items()})
    state["encode_text.text_encoder.embeddings.position_ids"] = torch.arange(text_encoder_of(card).positions)[None]
    state["logit_scale"] = torch.tensor(1.0)
    return saved(state)


def ct_clip_checkpoint(card: ModelCard) -> bytes:
    """CT-CLIP's flat checkpoint; the positions and the pooler of its text encoder are there too."""
    config, text = architecture_of(card)
    encoder, small = text_encoder_of(card), text_encoder_of(card).width < 768
    state = random_state(ct_clip_layout.published_shapes(config, text.text_width, 1 if small else 64))
    of_text = text_encoder_shapes(encoder)
    of_text |= {"pooler.dense.weight": (encoder.width, encoder.width), "pooler.dense.bias": (encoder.width,)}
    state |= random_state({f"text_transformer.{name}": shape for name, shape in of_text.items()})
    state["text_transformer.embeddings.position_ids"] = torch.arange(encoder.positions)[None]
    state["temperature"] = torch.tensor(1.0)
    return saved(state)


def brainiac_files(card: ModelCard) -> dict[str, bytes]:
    """BrainIAC's checkpoint as Lightning writes one: tensors under `state_dict`, plain values beside them."""
    config = from_dict(BrainIACConfig, dict(card.architecture.options), card.id)
    state = random_state(brainiac_layout.published_shapes(config))
    beside = {"epoch": 9, "global_step": 90, "pytorch-lightning_version": "2.3.3", "hyper_parameters": {"lr": 1e-4}}
    return {card.weights[0].published: saved({"state_dict": state, **beside})}


def neuro_jepa_files(card: ModelCard) -> dict[str, bytes]:
    """`model.safetensors` and `config.json` of Neuro-JEPA's release."""
    from safetensors.torch import save

    config = from_dict(NeuroJepaConfig, dict(card.architecture.options), card.id)
    about = {
        "model": {
            "img_size": list(config.image_size),
            "embed_dim": config.width,
            "depth": config.depth,
            "num_heads": config.heads,
            "moe": {
                "n_routed_experts": config.mixture.experts,
                "n_activated_experts": config.mixture.active,
                "route_scale": config.mixture.route_scale,
                "score_func": "softmax",
            },
        },
        "meta": {},
    }
    weights = save(random_state(neuro_jepa_shapes(config)))
    return {"model.safetensors": weights, "config.json": json.dumps(about).encode()}


def tokenizer_files(kind: str) -> dict[str, bytes]:
    """Files of a small tokenizer of a text encoder's kind, under the names that the tokenizers' cards have."""
    if kind == "bert":
        return {"vocab.txt": "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *CT_CLIP_WORDS, ""]).encode()}
    if kind == "longformer":
        marks = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        vocabulary = marks[:4] + sorted(_byte_letters()) + marks[4:]
        config = {"model_type": "longformer", "vocab_size": len(vocabulary)}
        return {
            "config.json": json.dumps(config).encode(),
            "vocab.json": json.dumps({token: number for number, token in enumerate(vocabulary)}).encode(),
            "merges.txt": b"#version: 0.2\n",
        }
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {token: number for number, token in enumerate(["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", *WORDS])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
    marks = {f"{name}_token": f"[{name.upper()}]" for name in ("unk", "cls", "sep", "pad", "mask")}
    return {
        "config.json": json.dumps({"model_type": "modernbert"}).encode(),
        "tokenizer.json": made.to_str().encode(),
        "tokenizer_config.json": json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **marks}).encode(),
        "special_tokens_map.json": json.dumps(marks).encode(),
    }


def files_of(card: ModelCard) -> dict[str, dict[str, bytes]]:
    """What a card's repositories hold: its own, and that of its tokenizer."""
    brains = {"brainiac": brainiac_files, "neuro_jepa": neuro_jepa_files}
    if card.architecture.name in brains:
        return {str(card.source.repo): brains[card.architecture.name](card)}
    makers = {"totalfm": totalfm_checkpoint, "merlin": merlin_checkpoint, "ct_clip": ct_clip_checkpoint}
    make = makers[card.architecture.name]
    tokenizer = tokenizer_card(card)
    return {
        str(card.source.repo): {card.weights[0].published: make(card)},
        str(tokenizer.source.repo): tokenizer_files(text_encoder_of(card).kind),
    }


def _batch_norm(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    of_channels = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{leaf}": (channels,) for leaf in of_channels} | {f"{name}.num_batches_tracked": ()}


def _byte_letters() -> list[str]:
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return list(bytes_to_unicode().values())


def saved(content: object) -> bytes:
    """What torch.save writes of it."""
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


_PULL = """
import sys
from medfm_core.card_library import load_card
from medfm_core.hub.licences import accept
from medfm_core.hub.pull import pull_card
from medfm_core.settings import read_hub_settings
for name in sys.argv[1:]:
    card = load_card(name)
    accept(card, read_hub_settings().cache)
    pull_card(card)
from medfm_core.machine import peak_memory
print(f"peak {peak_memory() / 1e9:.2f} GB")
"""
_BRAIN = """
import sys
from medfm_core.brain_encoding import encode_brain, load_brain_encoder
from medfm_core.card_library import load_card
from medfm_core.io import read_volume
card = load_card(sys.argv[1])
found = encode_brain(read_volume(sys.argv[2]), card, load_brain_encoder(card, "cpu"))
print(found.tokens.shape, found.grid, found.vector[:4])
from medfm_core.machine import peak_memory
print(f"peak {peak_memory() / 1e9:.2f} GB")
"""
_SCAN = """
import sys
import torch
from medfm_core.card_library import load_card
from medfm_core.findings_model import architecture_of
from medfm_core.io import read_volume
from medfm_core.models.ct_clip_weights import load_scan_transformer
from medfm_core.models.merlin_weights import load_scan_encoder
from medfm_core.models.totalfm_weights import load_image_encoder, load_text_side
from medfm_core.organ_volumes import organ_volumes
from medfm_core.text_towers import load_tower_of
from medfm_core.volume import Kind
from medfm_core.whole_scan import scan_tensor
card = load_card(sys.argv[1])
config, text = architecture_of(card)
path = {file.role: where for file, where in card.files().items()}
projection, logits = load_text_side(path["text"], text.text_width, config.embedding_width)
sentences = projection(load_tower_of(card, "").encode(["There is a cyst.", "No cyst is seen in the liver."]))
scan = read_volume(sys.argv[2])
with torch.inference_mode():
    if card.input.organs.whole:
        volume, share = scan_tensor(scan, card.input)
        load = load_scan_encoder if card.architecture.name == "merlin" else load_scan_transformer
        image = load(path["weights"], config)(volume[None])
        print("left out of the scan:", round(share, 3))
    else:
        labels = read_volume(sys.argv[3])
        labels = labels.with_voxels(labels.voxels.round().astype("uint8"), Kind.LABEL)
        organ = next(organ_volumes(scan, labels, card.input, ["liver"]))
        image = load_image_encoder(path["weights"], config)(organ.voxels[None])
print(tuple(image.shape), float(image.norm()), "logits", logits(image, sentences).tolist())
from medfm_core.machine import peak_memory
print(f"peak {peak_memory() / 1e9:.2f} GB")
"""


def main() -> None:
    """Serve, pull, load and run one card at its published size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("card")
    parser.add_argument("scan", type=Path)
    parser.add_argument("labels", type=Path, nargs="?", help="its organs, for a model that looks at one at a time")
    args = parser.parse_args()
    from hub_server import Hub, Repository

    card = load_card(args.card)
    is_brain = card.task == "brain_embedding"
    names = [card.id] if is_brain else [tokenizer_card(card).id, card.id]
    hub = Hub()
    for name, files in files_of(card).items():
        commit = (card.source.revision or "0" * 40) if name == card.source.repo else "0" * 40
        hub.repositories[name] = Repository(files, commit=commit)
    with tempfile.TemporaryDirectory() as cache, hub.running():
        os.environ |= {"HF_ENDPOINT": hub.url, "MEDFM_CACHE": cache}
        os.environ |= {"HF_HUB_ETAG_TIMEOUT": "900", "HF_HUB_DOWNLOAD_TIMEOUT": "900"}  # the server hashes gigabytes
        for variable in ("HF_HUB_OFFLINE", "MEDFM_OFFLINE"):
            os.environ.pop(variable, None)
        _measured("pull", ["-c", _PULL, *names])
        hub.repositories.clear()
        given = [card.id, str(args.scan), *([str(args.labels)] if args.labels else [])]
        _measured("run", ["-c", _BRAIN if is_brain else _SCAN, *given])


def _measured(what: str, command: list[str]) -> None:
    """Run Python in a process of its own; print its seconds. It prints its own peak memory: the system's figure counts
    this process, of which it is a copy at first, too."""
    import subprocess

    start = time.perf_counter()
    child = subprocess.Popen([sys.executable, *command])
    _, status, used = os.wait4(child.pid, 0)
    seconds, cpu = time.perf_counter() - start, used.ru_utime + used.ru_stime
    print(f"{what}: exit code {os.waitstatus_to_exitcode(status)}, {seconds:.0f} s, {cpu:.0f} s of CPU", flush=True)


if __name__ == "__main__":
    main()
