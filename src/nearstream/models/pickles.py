"""Finds pickles among a model's files: reading one runs whatever code is in it."""

from __future__ import annotations

from pathlib import Path

from nearstream.core.restrictions import Restrictions

_ENDINGS = frozenset({".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib", ".dill"})
_BINARY = ".bin"
_OPENVINO = "openvino_"


def check_pickles(folder: Path, restrictions: Restrictions) -> None:
    """Raise Unusable for a pickle in the folder of a model, where the secure mode has none."""
    if "pickles" not in restrictions.off:
        return
    for path in sorted(folder.rglob("*")):
        if is_pickle(path) and path.is_file():
            restrictions.check("pickles", f"{path} may be a pickle, which can run code, and is not read")


def is_pickle(path: Path) -> bool:
    """Whether a file's name is one that PyTorch and Python give to pickles."""
    suffix = path.suffix.lower()
    return suffix in _ENDINGS or (suffix == _BINARY and not path.name.startswith(_OPENVINO))
