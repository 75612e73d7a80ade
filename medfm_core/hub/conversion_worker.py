"""The process that reads a foreign checkpoint: an order as JSON comes in, an answer as JSON goes out.

Run by `medfm_core.hub.conversion`, never by hand.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medfm_core.card_sources import Conversion
from medfm_core.errors import MedFMError, ResourceError, WeightsError
from medfm_core.hub.archives import is_zip, open_zip
from medfm_core.hub.key_map import check_keys, drops_leading, map_keys
from medfm_core.strict import from_dict

if TYPE_CHECKING:
    from torch import Tensor

_TORCH = (2, 10)  # before it, torch.load(weights_only=True) could be made to run code
_FIX = "do not use this file; report it to its owner"


def main() -> int:
    """Convert as ordered; the exit code is 0 whenever there is an answer."""
    order = json.load(sys.stdin)
    try:
        _limit(int(order["largest_bytes"]))
        convert(order)
        answer: dict[str, object] = {"done": True}
    except MedFMError as error:
        answer = {"kind": type(error).__name__, "what": error.what, "fix": error.fix}
    except MemoryError:
        answer = {"kind": "ResourceError", "what": "there is too little memory to convert it", "fix": "free some"}
    except OSError as error:
        answer = {"kind": "ResourceError", "what": f"it cannot be written ({error})", "fix": "free some disk space"}
    except Exception as error:  # whatever a made-up file may bring about in the reader
        what = f"it cannot be read ({type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''})"
        answer = {"kind": "WeightsError", "what": what, "fix": _FIX}
    print(json.dumps(answer))
    return 0


def convert(order: Mapping[str, Any]) -> None:
    """Read, rename, check and write.

    Args:
        order: `source`, `target`, `conversion`, `expected`, `source_sha256`.

    Raises:
        WeightsError: the checkpoint is not what the network needs, or holds more than tensors.
        ResourceError: this torch is too old to read strangers' files with.
    """
    from safetensors.torch import save_file

    conversion = from_dict(Conversion, order["conversion"], "the conversion", WeightsError)
    tensors = _tensors(_entry(_read(Path(order["source"])), conversion.entry))
    renamed = map_keys(tensors, conversion.rules)
    for old in renamed.values():
        if len(tensors[old].shape) > 1 and len(tensors[old]) == 1 and drops_leading(old, conversion.rules):
            tensors[old] = tensors[old][0]
    check_keys(renamed, {name: tuple(value.shape) for name, value in tensors.items()}, order["expected"])
    made = {new: tensors[old].detach().contiguous().clone() for new, old in sorted(renamed.items())}
    # One entry of metadata: several would come in random order, and the file's hash with them.
    save_file(made, order["target"], metadata={"made_of_sha256": order["source_sha256"]})


def _read(path: Path) -> Any:
    import torch

    if not is_zip(path):
        return _read_safetensors(path)
    if tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2]) < _TORCH:
        raise ResourceError(f"torch {torch.__version__} cannot read foreign checkpoints safely", "install torch>=2.10")
    with open_zip(path) as archive:
        if not any(name.endswith("/data.pkl") for name in archive.namelist()):
            raise WeightsError("it is a zip file but no checkpoint", _FIX)
    foreign = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    if foreign:
        raise WeightsError(f"it wants to run {', '.join(sorted(foreign)[:3])}, which tensors do not need", _FIX)
    return torch.load(path, map_location="cpu", weights_only=True, mmap=True)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from medfm_core.weights import load_weights

    try:
        return load_weights(path)
    except WeightsError as error:
        raise WeightsError("it is neither a checkpoint as torch.save writes it (zip) nor safetensors", _FIX) from error


def _entry(checkpoint: Any, names: tuple[str, ...]) -> Any:
    for name in names:
        there = [one for one in name.split("|") if isinstance(checkpoint, Mapping) and one in checkpoint]
        if not there:
            raise WeightsError(f"it has no entry {name!r}", "use the checkpoint that the model card names")
        checkpoint = checkpoint[there[0]]
    return checkpoint


def _tensors(entry: Any) -> dict[str, Tensor]:
    import torch

    if not isinstance(entry, Mapping):
        raise WeightsError(f"its tensors are in a {type(entry).__name__} and not under names", "use another file")
    for name, value in entry.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise WeightsError(f"its entry {str(name)[:80]!r} is a {type(value).__name__} and no tensor", _FIX)
        if value.is_sparse or value.is_quantized or value.is_meta:
            raise WeightsError(f"its tensor {name[:80]!r} is sparse, quantized or empty of values", _FIX)
    return dict(entry)


def _limit(largest_bytes: int) -> None:
    """Let no file grow larger than the network is."""
    try:
        import resource
    except ImportError:  # Windows
        return
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if hard == resource.RLIM_INFINITY or hard > largest_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_bytes, hard))


if __name__ == "__main__":
    sys.exit(main())
