"""A trained surrogate as files: ``weights.safetensors``, ``bundle.json``, ``intervals.json``. No pickle, no code.

The JSON holds the registry name of the network and its arguments, never an import path, so that a bundle can
be read for years; loading it executes nothing from it and takes no more memory than its weights.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from understudy.core.files import atomic_path, write_json
from understudy.core.model import model_of
from understudy.core.nets import NETS, build_net, informed_of, sizes_type
from understudy.core.spec import DataSpec
from understudy.errors import ModelError, UnderstudyError

FORMAT = 1
LARGEST = 100_000  # of any size or argument; no network of use comes near
WEIGHTS, DESCRIPTION, INTERVALS = "weights.safetensors", "bundle.json", "intervals.json"


@dataclass(frozen=True)
class Bundle:
    """A model and what is needed to use it; ``facts`` (versions, data fingerprint, …) are for people.

    ``intervals`` is what the domain keeps about the errors of the model, as JSON; None where it keeps nothing.
    """

    model: Any  # Model or OneShotModel: the domain of the spec knows which
    spec: DataSpec
    network: str
    arguments: dict[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)
    intervals: dict[str, Any] | None = None


def title_of(bundles: Sequence[Bundle]) -> str:
    """What a person calls them together: ``dot``, or ``mean of 3 dot``."""
    network = bundles[0].network
    return network if len(bundles) == 1 else f"mean of {len(bundles)} {network}"


def save_bundle(folder: Path, bundle: Bundle) -> None:
    """Write the files into ``folder``; the description comes last, so that half a bundle is none."""
    tensors = {k: v.detach().cpu().contiguous() for k, v in bundle.model.state_dict().items()}
    (folder / DESCRIPTION).unlink(missing_ok=True)
    with atomic_path(folder / WEIGHTS) as temporary:
        safetensors.torch.save_file(tensors, temporary)
    if bundle.intervals is None:
        (folder / INTERVALS).unlink(missing_ok=True)
    else:
        write_json(folder / INTERVALS, bundle.intervals)
    description = {
        "format": FORMAT,
        "network": bundle.network,
        "arguments": bundle.arguments,
        "sizes": bundle.model.net.sizes._asdict(),
        "spec": bundle.spec.to_json(),
        "facts": bundle.facts,
    }
    write_json(folder / DESCRIPTION, description)


def find_bundle(path: Path) -> Path:
    """The bundle folder that ``path`` means: itself, or the ``bundle`` in a run's folder.

    Raises:
        ModelError: there is none.
    """
    for folder in (path, path / "bundle", path.parent):
        if (folder / DESCRIPTION).is_file() and (
            folder != path.parent or path.name in (DESCRIPTION, WEIGHTS)
        ):
            return folder
    if not path.exists():
        raise ModelError(f"{path}: no such run or bundle")
    raise ModelError(
        f"{path} holds no bundle/{DESCRIPTION}: not a run, or one that has not finished training"
    )


def domain_of(path: Path) -> str:
    """The name of the domain of a run or bundle, from its description alone.

    Raises:
        ModelError: nothing there, or a description that does not say.
    """
    folder = find_bundle(path)
    try:
        return str(json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))["spec"]["domain"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder}: damaged bundle: {error}") from error


def load_bundle(path: Path) -> Bundle:
    """Read a bundle, or the bundle of a run.

    Raises:
        ModelError: nothing there, of a later format, damaged, or weights that do not fit the description.
    """
    folder = find_bundle(path)
    try:
        data = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise ModelError(f"{folder} has bundle format {data['format']}; this version reads {FORMAT}")
        spec = DataSpec.from_json(data["spec"])
        network, arguments = str(data["network"]), dict(data["arguments"])
        if network not in NETS:
            raise ModelError(f"{folder}: network {network!r} is not known to this version")
        sizes: Any = sizes_type(network)(**{k: int(v) for k, v in data["sizes"].items()})
        shapes = _shapes(folder / WEIGHTS)
        _refuse_giants(sizes, arguments, len(shapes))
        with torch.device("meta"):  # shapes without memory: a forged description cannot claim any
            expected = model_of(build_net(network, sizes, arguments))
        if expected.net.n_fitting != (len(spec.controls), len(spec.predicted)):
            raise ModelError(f"{folder}: the sizes of the network do not fit its signals")
        if {k: list(v.shape) for k, v in expected.state_dict().items()} != shapes:
            raise ModelError(f"{folder}: {WEIGHTS} does not fit the network in {DESCRIPTION}")
        model = model_of(build_net(network, sizes, arguments))
        if (told := informed_of(model)) is not None:
            told.locate([s.name for s in spec.controls])
        model.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS))
        intervals = _intervals(folder / INTERVALS)
    except ModelError:
        raise
    except (UnderstudyError, OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise ModelError(f"{folder}: damaged bundle: {error}") from error
    return Bundle(model.eval(), spec, network, arguments, dict(data.get("facts", {})), intervals)


def _intervals(path: Path) -> dict[str, Any] | None:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def _refuse_giants(sizes: Sequence[int], arguments: dict[str, Any], n_tensors: int) -> None:
    """What does not show in the shapes of the weights must not cost memory or time either."""
    numbers = [v for v in (*sizes, *arguments.values()) if isinstance(v, int)]
    deepest = max([v for k, v in arguments.items() if k.endswith("depth") and isinstance(v, int)], default=0)
    if max(numbers) > LARGEST or deepest > n_tensors:
        raise ModelError(f"the network described in {DESCRIPTION} is larger than its weights")


def _shapes(path: Path) -> dict[str, list[int]]:
    with safetensors.safe_open(path, framework="pt") as file:
        return {key: list(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118


__all__ = ["Bundle", "domain_of", "find_bundle", "load_bundle", "save_bundle"]
