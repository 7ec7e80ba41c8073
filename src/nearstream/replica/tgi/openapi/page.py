"""/docs: the OpenAPI document as one page of HTML, with no script and nothing fetched."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

Node = dict[str, Any]
_SIGNS = {
    "exclusiveMinimum": ">",
    "minimum": ">=",
    "exclusiveMaximum": "<",
    "maximum": "<=",
    "maxItems": "at most",
}
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code { font: 0.9em ui-monospace, monospace; }
h2 { margin-top: 2.5rem; }
h3 { border-top: 1px solid #8886; padding-top: 1rem; }
table { border-collapse: collapse; }
td { padding: 0.2rem 1.5rem 0.2rem 0; vertical-align: top; }
:root { color-scheme: light dark; }
"""


def page(document: Node) -> str:
    """The whole page."""
    title = escape(document["info"]["title"])
    body = "\n".join([*_operations(document["paths"]), *_schemas(document["components"]["schemas"])])
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
        f"<p>It speaks as release {escape(document['info']['version'])}. "
        'The same for programs: <a href="api-doc/openapi.json">openapi.json</a>.</p>\n'
        f"{body}\n</body>\n</html>\n"
    )


def _operations(paths: dict[str, dict[str, Node]]) -> Iterator[str]:
    every = [(path, method, spec) for path, methods in paths.items() for method, spec in methods.items()]
    for tag in dict.fromkeys(spec["tags"][0] for _, _, spec in every):
        yield f"<h2>{escape(tag)}</h2>"
        for path, method, spec in every:
            if spec["tags"][0] == tag:
                yield from _operation(path, method, spec)


def _operation(path: str, method: str, spec: Node) -> Iterator[str]:
    yield f"<h3><code>{method.upper()} {escape(path)}</code></h3>\n<p>{escape(spec['summary'])}.</p>\n<table>"
    for parameter in spec.get("parameters", []):
        name = f"{parameter['in']} {parameter['name']}"
        yield _row(name, _kind(parameter["schema"]), parameter.get("description", ""))
    for kind, media in _contents(spec.get("requestBody", {})):
        yield _row("body", kind, media)
    for status, response in spec["responses"].items():
        answers = list(_contents(response)) or [("empty", "")]
        for kind, media in answers:
            yield _row(status, kind, f"{response['description']}. {media}")
    yield "</table>"


def _contents(holder: Node) -> Iterator[tuple[str, str]]:
    for media, content in holder.get("content", {}).items():
        yield _kind(content["schema"]), media


def _schemas(schemas: dict[str, Node]) -> Iterator[str]:
    yield "<h2>Types</h2>"
    for name, schema in schemas.items():
        yield f'<h3 id="{escape(name)}"><code>{escape(name)}</code></h3>'
        yield f"<p>{escape(schema.get('description', ''))}</p>\n<table>"
        for field, spec in schema.get("properties", {}).items():
            needed = "required" if field in schema.get("required", []) else ""
            yield _row(field, _kind(spec), needed or _default(spec))
        yield "</table>"


def _row(name: str, kind: str, note: str) -> str:
    return f"<tr><td><code>{escape(name)}</code></td><td>{kind}</td><td>{escape(note)}</td></tr>"


def _default(schema: Node) -> str:
    default = schema.get("default")
    return "" if default in (None, []) else f"default {str(default).lower()}"


def _kind(schema: Node) -> str:
    """A schema in a few words of HTML, with links to the types it names."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        found = " or ".join(_kind(choice) for choice in schema["anyOf"])
    elif "enum" in schema or "const" in schema:
        found = " or ".join(escape(f'"{value}"') for value in schema.get("enum", [schema.get("const")]))
    elif "contentSchema" in schema:
        found = _kind(schema["contentSchema"])
    elif "data" in schema.get("properties", {}):
        found = f"events of {_kind(schema['properties']['data'])}"
    elif schema.get("type") == "array":
        found = f"list of {_kind(schema.get('items', {}))}"
    else:
        found = escape(str(schema.get("type", "anything")))
    return found + escape(_bounds(schema))


def _bounds(schema: Node) -> str:
    bounds = [f"{sign} {schema[key]}" for key, sign in _SIGNS.items() if key in schema]
    return f" ({', '.join(bounds)})" if bounds else ""
