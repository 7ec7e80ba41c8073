"""Starts a handler's process: `python worker.py FD`. Only the folder beside it is added to the imports."""

import importlib
import pathlib
import sys

if __name__ == "__main__":
    sys.path.append(str(pathlib.Path(__file__).resolve().parent))
    importlib.import_module("djl_python._worker.main").main()
