"""Finds a user's function in its file, and says of a failure in which line of it that was."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pathlib
import sys
import traceback
from collections.abc import Mapping
from typing import Any, Callable, NamedTuple

Handle = Callable[[Any], Any]
FUNCTIONS = ("register_adapter", "update_adapter", "unregister_adapter")
"""What a module may have beside its handler, to be told of adapters."""
_BUILT_IN = "djl_python."
_MARKS = ("is_input_formatter", "is_output_formatter", "is_prediction_handler", "is_init_handler")
_OWN = str(pathlib.Path(__file__).parent)


class Refused(Exception):
    """The model cannot be loaded; the text says why, fit for an operator."""


class Model(NamedTuple):
    """A user's module: the handler, the name it is called by, and others of its functions by name."""

    handle: Handle
    name: str
    functions: Mapping[str, Handle]

    def named(self, function: str) -> Handle:
        """The function of this name; "" is the handler. Raises LookupError."""
        if not function:
            return self.handle
        if function not in self.functions:
            raise LookupError(f"there is no function `{function}` beside `{self.name}`")
        return self.functions[function]


class Wanted(NamedTuple):
    """What to load: a folder, a file in it, a function of that, and the properties of the first call."""

    model_dir: str
    entry_point: str
    handler: str
    properties: dict[str, Any]


def load_model(wanted: Wanted) -> Model:
    """Import the file and find its functions. Raises Refused; a traceback goes to stderr."""
    path = _path_of(wanted)
    if wanted.model_dir not in sys.path:
        sys.path.insert(0, wanted.model_dir)
    name = path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise Refused(f"{wanted.entry_point} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        print_failure(error)
        raise Refused(f"{wanted.entry_point} cannot be imported: {told(error, wanted.model_dir)}") from error
    handle = getattr(module, wanted.handler, None)
    if not callable(handle):
        raise Refused(_no_such_function(wanted, vars(module)))
    found = {name: getattr(module, name, None) for name in FUNCTIONS}
    return Model(handle, wanted.handler, {name: one for name, one in found.items() if callable(one)})


def print_failure(error: BaseException) -> None:
    """A traceback on stderr, from where the user's code begins."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_OWN):
        trace = trace.tb_next
    with contextlib.suppress(OSError, ValueError):  # a user's code may have closed stderr
        traceback.print_exception(type(error), error, trace or error.__traceback__)


def told(error: BaseException, model_dir: str) -> str:
    """A failure in one line: what it is and, where that is in the model's folder, the file and its line."""
    if isinstance(error, SyntaxError) and error.filename:
        return (
            f"{type(error).__name__}: {error.msg} ({_short(error.filename, model_dir)}, line {error.lineno})"
        )
    text = f"{type(error).__name__}: {error}".rstrip(": ")
    if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith(_BUILT_IN):
        text += "; that is part of DJL's own handlers, which the server has in its own form"
    inside = model_dir + os.sep
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename.startswith(inside):
            return f"{text} ({_short(frame.filename, model_dir)}, line {frame.lineno})"
    return text


def _path_of(wanted: Wanted) -> pathlib.Path:
    if wanted.entry_point.startswith(_BUILT_IN):
        raise Refused(
            f"{wanted.entry_point} is the built-in handler, which runs on the server's engine; "
            "a handler of your own is a file, such as model.py"
        )
    name = wanted.entry_point
    path = pathlib.Path(wanted.model_dir, name if name.endswith(".py") else f"{name}.py")
    if not path.is_file():
        raise Refused(f"there is no {path.name} in {wanted.model_dir}")
    return path


def _no_such_function(wanted: Wanted, names: dict[str, Any]) -> str:
    functions: list[str] = [
        name
        for name, value in names.items()
        if callable(value) and getattr(value, "__module__", None) == names["__name__"]
    ]
    there = ", ".join(functions) or "none"
    absent = f"{wanted.entry_point} has no function `{wanted.handler}`"
    marked = [name for name, value in names.items() if any(hasattr(value, mark) for mark in _MARKS)]
    if marked:
        return (
            f"{absent}, and what it marks for DJL's own handlers ({', '.join(marked)}) is not called here: "
            "read the request and write the answer in a `handle`, or take model.py away"
        )
    return f"{absent}; its functions are: {there}. Rename one, or name it with option.handler"


def _short(path: str, model_dir: str) -> str:
    return os.path.relpath(path, model_dir) if path.startswith(model_dir + os.sep) else path
