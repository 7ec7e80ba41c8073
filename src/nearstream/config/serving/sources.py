"""Where settings of DJL Serving come from: the model's files over the environment over the server's file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from nearstream.config.serving.keys import SHORT_FORMS, cased, option
from nearstream.core.errors import Unusable
from nearstream.formats import properties

SERVING_PROPERTIES = "serving.properties"
SERVER_PROPERTIES = "config.properties"
SIZE_LIMIT_BYTES = 1 << 20
_OF_MODEL, _VARIABLES_OF_MODELS, _VARIABLES_OF_SERVERS, _SHORT_VARIABLES, _OF_SERVER = range(5)
_OPTION, _SERVER, _ARGUMENT = "OPTION_", "SERVING_", "ARGS_"
_MODEL_FILES = (SERVING_PROPERTIES, "model.py", "config.json")
LOAD_MODELS = "SERVING_LOAD_MODELS"
# SERVING_LOAD_MODELS=name:version:engine=url, with brackets or without
_NAME_TO_LOAD = re.compile(r"\[?([^:=,/\[\]]+)(?::([^:=,/\]]*))?[^=,/]*=")
_ENGINE_TO_LOAD = re.compile(r"\[?[^:=,]*:[^:=,]*:(\w+)[:=\]]")


@dataclass(frozen=True, slots=True)
class Given:
    """A setting as it was given; `source` is a file and line, or a variable. A lower `rank` is stronger."""

    name: str
    value: str
    source: str
    rank: tuple[int, int]

    @property
    def place(self) -> tuple[int, int]:
        """In the order that a reader sees: files by their lines."""
        return self.rank[0], abs(self.rank[1])

    @property
    def of_the_model(self) -> bool:
        """Whether it is a setting of the model, and not of its server."""
        return self.rank[0] <= _VARIABLES_OF_MODELS


def model_directory(directory: Path) -> Path:
    """`directory`, or the only folder in it where that holds the model. Raises Unusable."""
    if not directory.is_dir():
        raise Unusable(f"{directory} is no folder; a folder with {SERVING_PROPERTIES} or a model is wanted.")
    if any((directory / name).is_file() for name in _MODEL_FILES):
        return directory
    folders = [path for path in sorted(directory.iterdir()) if path.is_dir() and path.name[0] not in "._"]
    configured = [path for path in folders if (path / SERVING_PROPERTIES).is_file()]
    if len(configured) > 1:
        names = ", ".join(path.name for path in configured)
        raise Unusable(f"{directory} has {SERVING_PROPERTIES} in {names}; one folder of them is wanted.")
    if configured:
        return configured[0]
    bare = len(folders) == 1 and any((folders[0] / name).is_file() for name in _MODEL_FILES)
    return folders[0] if bare else directory


def startup_name(environ: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The name and the version under which the model of the start is to be known; None where none is said."""
    found = _NAME_TO_LOAD.match(_unquoted(environ.get(LOAD_MODELS, "")))
    return (found[1].strip() or None, found[2] or None) if found else (None, None)


def given(directory: Path | None, environ: Mapping[str, str]) -> list[Given]:
    """All settings, the strongest first."""
    found = list(_variables(environ))
    if directory is not None:
        found += _file(directory / SERVING_PROPERTIES, strength=_OF_MODEL)
        found += _file(directory / SERVER_PROPERTIES, strength=_OF_SERVER)
    return sorted(found, key=lambda one: one.rank)


def read_properties(path: Path) -> tuple[properties.Entry, ...]:
    """Every entry in order. Raises Unusable for a file that cannot be read, is too large, or is malformed."""
    try:
        with path.open("rb") as file:
            content = file.read(SIZE_LIMIT_BYTES + 1)
    except OSError as error:
        raise Unusable(f"{path} cannot be read: {error.strerror}.") from error
    if len(content) > SIZE_LIMIT_BYTES:
        raise Unusable(f"{path} is larger than {SIZE_LIMIT_BYTES} bytes; a file of settings is wanted.")
    try:
        return properties.parse(content, str(path))
    except properties.Damaged as error:
        raise Unusable(str(error)) from error


def _file(path: Path, *, strength: int) -> list[Given]:
    """Of a key given twice the last one is the strongest."""
    if not path.is_file():
        return []
    return [
        Given(entry.key, entry.value.strip(), f"{path}, line {entry.line}", (strength, -entry.line))
        for entry in read_properties(path)
    ]


def _variables(environ: Mapping[str, str]) -> Iterator[Given]:
    for at, (variable, name) in enumerate(SHORT_FORMS.items()):
        if value := _unquoted(environ.get(variable, "")):
            yield Given(name, value, variable, (_SHORT_VARIABLES, at))
    for variable, text in sorted(environ.items()):
        if not (value := _unquoted(text)):
            continue
        if variable.startswith(_OPTION):
            yield Given(option(variable.removeprefix(_OPTION)), value, variable, (_VARIABLES_OF_MODELS, 0))
        elif variable.startswith(_SERVER):
            yield _of_the_server(variable, value)
        elif variable.startswith(_ARGUMENT):
            yield Given(variable.removeprefix(_ARGUMENT).lower(), value, variable, (_VARIABLES_OF_MODELS, 1))


def _of_the_server(variable: str, value: str) -> Given:
    name = cased(variable.removeprefix(_SERVER).lower())
    if name == "load_models" and (engine := _ENGINE_TO_LOAD.match(value)):
        name, value = "engine", engine[1]
    return Given(name, value, variable, (_VARIABLES_OF_SERVERS, 0))


def _unquoted(value: str) -> str:
    """The SageMaker SDK sends values as JSON: "32" with its quotes."""
    value = value.strip()
    quoted = len(value) > 1 and value[0] == value[-1] == '"'
    return value[1:-1].strip() if quoted else value
