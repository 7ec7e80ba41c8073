"""The public API is complete, fast to import and documented; the error tree is drawn as it is."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import nearstream
import nearstream.testing
from nearstream.core import errors

ROOT = Path(__file__).parents[2] / "src" / "nearstream"
DRAWN = re.compile(r"^([│ ]*)[├└]── (\w+)", re.MULTILINE)
SLOW = ("openvino", "openvino_genai", "boto3", "botocore", "aiohttp", "sqlalchemy", "tokenizers", "msgspec")


def drawn() -> dict[str, str]:
    """Each error in the drawing with the one above it."""
    above, parents = ["NearstreamError"], {}
    for branch, name in DRAWN.findall(errors.__doc__ or ""):
        depth = len(branch) // 4
        parents[name] = above[depth]
        above[depth + 1 :] = [name]
    return parents


def defined() -> dict[str, str]:
    return {
        name: kind.__base__.__name__
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, errors.NearstreamError) and name != "NearstreamError"
    }


def test_the_error_tree_is_drawn_as_it_is() -> None:
    assert drawn() == defined()


def test_every_error_is_exported_and_says_what_it_means() -> None:
    assert set(defined()) <= set(nearstream.__all__)
    assert [name for name in defined() if not vars(errors)[name].__doc__] == []


def test_no_error_of_the_domain_is_defined_elsewhere() -> None:
    names = {"NearstreamError", *defined()}
    elsewhere = {
        node.name
        for path in ROOT.rglob("*.py")
        if path != ROOT / "core" / "errors.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and names & {getattr(base, "id", "") for base in node.bases}
    }
    assert elsewhere == {"AwsError"}


@pytest.mark.parametrize("name", nearstream.__all__)
def test_every_public_name_can_be_imported_and_explains_itself(name: str) -> None:
    found = getattr(nearstream, name)
    assert (inspect.getdoc(found) or "").strip()
    if inspect.isclass(found):
        methods = [each for key, each in vars(found).items() if inspect.isfunction(each) and key[0] != "_"]
        assert [each.__name__ for each in methods if not each.__doc__] == []


def test_type_checkers_and_the_lazy_import_know_the_same_names() -> None:
    tree = ast.parse((ROOT / "__init__.py").read_text())
    (checked,) = [
        node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    imported = {
        alias.name: node.module
        for node in ast.walk(checked)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported == nearstream._MODULES
    assert sorted({*imported, *defined(), "NearstreamError"}) == sorted(nearstream.__all__)


@pytest.mark.parametrize("name", nearstream.testing.__all__)
def test_every_kind_of_site_for_tests_explains_itself(name: str) -> None:
    assert inspect.getdoc(getattr(nearstream.testing, name))


def test_no_text_of_a_target_shows_a_secret() -> None:
    keys = nearstream.Credentials("AKIA", "very-secret", session_token="very-secret")
    server = nearstream.ModelServer("http://x", api_key="very-secret")
    assert "very-secret" not in repr((nearstream.SageMakerEndpoint("e", keys), server))


def test_importing_it_loads_no_library() -> None:
    program = f"import nearstream, sys; print([name for name in {SLOW!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        nearstream.nothing  # noqa: B018
