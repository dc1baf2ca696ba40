"""Safetensors files with a canonical header: equal tensors and metadata give equal bytes in every process.

The library writes more than one metadata key in the order of a hash map, which differs from process to process; an
artefact's digest must not.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from models.errors import AdapterUnusable


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write ``tensors`` (any device, contiguous copies are made) to ``path`` by atomic rename."""
    content = save({name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)})
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    ordered: dict[str, object] = {"__metadata__": dict(sorted({"format": "pt", **(metadata or {})}.items()))}
    ordered.update(sorted(header.items()))
    encoded = json.dumps(ordered, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)  # A process that was frozen in the middle of writing it may still hold it open.
    partial.write_bytes(len(encoded).to_bytes(8, "little") + encoded + content[8 + length :])
    partial.replace(path)


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors (CPU) and metadata of ``path``. Raises ``AdapterUnusable`` when it is missing or damaged."""
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise AdapterUnusable(f"{path.name} cannot be read ({error}).", remedy="Adapt the class again.") from error
