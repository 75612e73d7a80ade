"""Names and shapes of CT-CLIP's published checkpoint, what was used in training alone included."""

from __future__ import annotations

import itertools
import math

from medfm_core.models.ct_clip import CTClipConfig

_VGG = (1, 1, 0, 2, 2, 0, 4, 4, 4, 0, 8, 8, 8, 0, 8, 8, 8)  # channels over those of the first layer; 0 pools


def published_shapes(config: CTClipConfig, text_width: int, beside: int = 64) -> dict[str, tuple]:
    """Names and shapes of CT-CLIP's checkpoint without its text encoder, written down from its layers.

    Args:
        config: of the image encoder.
        text_width: channels of the text encoder.
        beside: channels with which the networks begin that were used in training alone.
    """
    width = config.width
    slab, block = math.prod(config.patch_size[1:]), math.prod(config.patch_size)
    shapes: dict[str, tuple] = {}
    for name, voxels in (("to_patch_emb_first_frame", slab), ("to_patch_emb", block)):
        shapes |= _linear(f"{name}.2", voxels, width) | _norm(f"{name}.1", voxels) | _norm(f"{name}.3", width)
    bias = "spatial_rel_pos_bias.net"
    shapes |= _linear(f"{bias}.0.0", 2, width) | _linear(f"{bias}.1.0", width, width)
    shapes |= _linear(f"{bias}.2", width, config.heads)
    for part in ("enc_spatial", "enc_temporal", "dec_spatial", "dec_temporal"):
        for layer in range(config.depth):
            at = f"{part}_transformer.layers.{layer}"
            shapes |= {f"{at}.0.dsconv.weight": (width, 1, 3, 3, 3), f"{at}.0.dsconv.bias": (width,)}
            shapes |= _attention(f"{at}.1", width, config.heads, config.head_width)
            shapes |= _norm(f"{at}.3.0", width)
            shapes |= {f"{at}.3.1.weight": (2 * config.mlp_width, width), f"{at}.3.4.weight": (width, config.mlp_width)}
        shapes |= {f"{part}_transformer.norm_out.{leaf}": (width,) for leaf in ("gamma", "beta")}
    entries = {"initted": (1,), "cluster_size": (1, config.codebook), "embed": (1, config.codebook, width)}
    shapes |= {f"vq._codebook.{leaf}": shape for leaf, shape in entries.items()}
    shapes |= _linear("to_pixels_first_frame.0", width, slab) | _linear("to_pixels.0", width, block)
    shapes |= _vgg(beside) | _discriminator(beside)
    found = {f"visual_transformer.{name}": shape for name, shape in shapes.items()}
    flat = math.prod(config.token_grid[1:]) * width
    for extra in ("", "_extra"):
        found[f"to_text_latent{extra}.weight"] = (config.embedding_width, text_width)
        found[f"to_visual_latent{extra}.weight"] = (config.embedding_width, flat)
    return found | {"temperature": ()}


def _linear(name: str, inside: int, out: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, inside), f"{name}.bias": (out,)}


def _norm(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (channels,), f"{name}.bias": (channels,)}


def _attention(name: str, width: int, heads: int, head_width: int) -> dict[str, tuple[int, ...]]:
    inner = heads * head_width
    shapes = {f"{norm}.{leaf}": (width,) for norm in ("norm", "context_norm") for leaf in ("gamma", "beta")}
    shapes |= {"q_scale": (head_width,), "k_scale": (head_width,), "null_kv": (heads, 0, head_width)}
    shapes |= {"to_q.weight": (inner, width), "to_kv.weight": (2 * inner, width), "to_out.weight": (width, inner)}
    return {f"{name}.{leaf}": shape for leaf, shape in shapes.items()}


def _conv(name: str, inside: int, out: int, side: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, inside, side, side), f"{name}.bias": (out,)}


def _vgg(first: int) -> dict[str, tuple[int, ...]]:
    """VGG-16 without its last layer, for a loss of training."""
    shapes: dict[str, tuple[int, ...]] = {}
    inside, place = 3, 0
    for times in _VGG:
        if times:
            shapes |= _conv(f"vgg.features.{place}", inside, times * first, 3)
            inside = times * first
        place += 2 if times else 1
    return (
        shapes
        | _linear("vgg.classifier.0", 49 * inside, 64 * first)
        | _linear("vgg.classifier.3", 64 * first, 64 * first)
    )


def _discriminator(first: int) -> dict[str, tuple[int, ...]]:
    """The judge of made-up slices of 256 x 256, for another loss of training."""
    widths = [1] + [min(first * 2**step, 8 * first) for step in range(7)]
    shapes: dict[str, tuple[int, ...]] = {}
    for block, (inside, out) in enumerate(itertools.pairwise(widths)):
        at = f"discr.blocks.{block}"
        shapes |= _conv(f"{at}.conv_res", inside, out, 1)
        shapes |= _conv(f"{at}.net.0", inside, out, 3) | _conv(f"{at}.net.2", out, out, 3)
        if block < 6:
            shapes |= _conv(f"{at}.downsample.1", 4 * out, out, 1)
        if block == 4:  # where slices are 16 x 16
            shapes |= _attention(f"discr.attn_blocks.{block}", out, 8, 64)
    last = widths[-1]
    return shapes | _conv("discr.to_logits.0", last, last, 3) | _linear("discr.to_logits.3", 16 * last, 1)
