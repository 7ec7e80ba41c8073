"""Schemas as people's tools write them: zod, pydantic, OpenAI's strict form, OpenAPI 3.0 and by hand."""

from __future__ import annotations

from typing import Any

_POINT = {
    "type": "object",
    "properties": {"x": {"type": "number"}, "y": {"type": "number"}},
    "required": ["x", "y"],
}
_CAT = {
    "type": "object",
    "properties": {"kind": {"const": "cat", "default": "cat", "title": "Kind"}, "lives": {"type": "integer"}},
    "required": ["kind", "lives"],
}
_DOG = {
    "type": "object",
    "properties": {"kind": {"const": "dog"}, "tricks": {"type": "array", "items": {"type": "string"}}},
    "required": ["kind"],
}

IDIOMS: dict[str, Any] = {
    "zod int": {"type": "integer", "minimum": -9007199254740991, "maximum": 9007199254740991},
    "zod object": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 40},
            "age": {"type": "integer", "exclusiveMinimum": 0, "maximum": 150},
            "email": {"type": "string", "format": "email", "pattern": "^[^@\\s]+@[^@\\s]+\\.[a-z]+$"},
            "tags": {"type": "array", "minItems": 1, "maxItems": 5, "items": {"type": "string"}},
            "role": {"type": "string", "enum": ["admin", "user"]},
        },
        "required": ["name", "age", "role"],
        "additionalProperties": False,
    },
    "zod record": {
        "type": "object",
        "propertyNames": {"type": "string"},
        "additionalProperties": {"type": "number"},
    },
    "zod nullable": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    "zod tuple": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]},
    "zod literal union": {"anyOf": [{"type": "string", "const": "a"}, {"type": "number", "const": 1}]},
    "zod intersection": {
        "allOf": [_POINT, {"type": "object", "properties": {"z": {"type": "number"}}, "required": ["z"]}]
    },
    "rating of five": {"type": "integer", "minimum": 1, "maximum": 5},
    "pydantic model": {
        "title": "Order",
        "description": "An order.",
        "type": "object",
        "$defs": {
            "Item": {
                "title": "Item",
                "type": "object",
                "properties": {"sku": {"title": "Sku", "type": "string"}},
                "required": ["sku"],
            }
        },
        "properties": {
            "items": {"items": {"$ref": "#/$defs/Item"}, "title": "Items", "type": "array"},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None, "title": "Note"},
            "when": {"format": "date-time", "title": "When", "type": "string"},
            "total": {"exclusiveMinimum": 0, "title": "Total", "type": "number"},
        },
        "required": ["items", "when", "total"],
    },
    "pydantic union": {
        "$defs": {"Cat": _CAT, "Dog": _DOG},
        "discriminator": {"propertyName": "kind", "mapping": {"cat": "#/$defs/Cat", "dog": "#/$defs/Dog"}},
        "oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}],
    },
    "pydantic reference with siblings": {
        "$defs": {"Colour": {"enum": ["red", "green"], "type": "string"}},
        "type": "object",
        "properties": {"colour": {"$ref": "#/$defs/Colour", "description": "of the car", "default": "red"}},
    },
    "pydantic set of an enum": {
        "type": "array",
        "uniqueItems": True,
        "items": {"enum": ["a", "b", "c"], "type": "string"},
    },
    "recursive tree": {
        "$defs": {
            "Node": {
                "type": "object",
                "properties": {
                    "v": {"type": "integer"},
                    "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
                },
                "required": ["v"],
            }
        },
        "$ref": "#/$defs/Node",
    },
    "OpenAI strict": {
        "type": "object",
        "properties": {
            "steps": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"explanation": {"type": "string"}, "output": {"type": "string"}},
                    "required": ["explanation", "output"],
                    "additionalProperties": False,
                },
            },
            "final_answer": {"type": ["string", "null"]},
        },
        "required": ["steps", "final_answer"],
        "additionalProperties": False,
    },
    "annotations": {
        "type": "object",
        "title": "T",
        "x-order": 1,
        "example": {"a": 1},
        "examples": [{}],
        "deprecated": True,
        "properties": {
            "a": {"type": "integer", "x-order": 0, "readOnly": True, "$comment": "c", "example": 3}
        },
        "required": ["a"],
    },
    "media type": {"type": "string", "contentMediaType": "image/png", "contentEncoding": "base64"},
    "unknown format": {"type": "string", "format": "phone"},
    "formats": {
        "type": "object",
        "properties": {
            name: {"type": "string", "format": name}
            for name in ("date", "time", "date-time", "uuid", "email", "ipv4", "uri", "hostname")
        },
        "required": ["date", "uuid", "uri"],
    },
    "price": {"type": "number", "minimum": 0, "exclusiveMaximum": 1000.5},
    "below zero": {"type": "number", "minimum": -1.25, "maximum": -0.5},
    "quarter hours": {"type": "integer", "multipleOf": 15, "minimum": 0, "maximum": 10_000},
    "pattern with lengths": {"type": "string", "pattern": "^[A-Z]{2}-\\d+$", "maxLength": 8, "minLength": 5},
    "pattern found anywhere": {"type": "string", "pattern": "ab", "maxLength": 6},
    "long text": {"type": "string", "maxLength": 2000},
    "at least one of": {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
        "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
    },
    "exactly one of": {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
        "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
    },
    "if then else": {
        "type": "object",
        "properties": {"country": {"enum": ["US", "NL"]}, "code": {"type": "string"}},
        "required": ["country", "code"],
        "if": {"properties": {"country": {"const": "US"}}},
        "then": {"properties": {"code": {"pattern": "^\\d{5}$"}}},
        "else": {"properties": {"code": {"pattern": "^\\d{4} [A-Z]{2}$"}}},
    },
    "required but not named": {
        "type": "object",
        "properties": {"a": {"type": "null"}},
        "required": ["a", "b"],
    },
    "names by pattern": {
        "type": "object",
        "patternProperties": {"^x-": {"type": "integer"}},
        "additionalProperties": False,
    },
    "others beside names": {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "additionalProperties": {"type": "string"},
    },
    "names of members": {
        "type": "object",
        "propertyNames": {"pattern": "^[a-z]+$", "maxLength": 5},
        "minProperties": 1,
        "maxProperties": 3,
    },
    "dependent members": {
        "type": "object",
        "properties": {"card": {"type": "string"}, "address": {"type": "string"}},
        "dependentRequired": {"card": ["address"]},
    },
    "contains": {
        "type": "array",
        "items": {"type": ["integer", "string"]},
        "contains": {"type": "string"},
        "maxItems": 3,
    },
    "not one of": {"type": "string", "not": {"enum": ["", "none"]}, "maxLength": 6},
    "not null": {"not": {"type": "null"}},
    "few members": {
        "type": "object",
        "properties": {n: {"type": "boolean"} for n in "abcd"},
        "minProperties": 2,
        "maxProperties": 3,
        "additionalProperties": False,
    },
    "anchor": {
        "$defs": {"p": {"$anchor": "point", **_POINT}},
        "type": "array",
        "items": {"$ref": "#point"},
        "maxItems": 2,
    },
    "itself": {
        "type": "object",
        "properties": {"child": {"$ref": "#"}, "n": {"type": "integer"}},
        "required": ["n"],
    },
    "anything": True,
    "any object": {"type": "object"},
}
"""Each is accepted; its answers meet it."""

OPENAPI: dict[str, tuple[Any, Any]] = {
    "nullable": (
        {"type": "string", "nullable": True, "maxLength": 3},
        {"type": ["string", "null"], "maxLength": 3},
    ),
    "nullable enum": ({"type": "string", "nullable": True, "enum": ["a"]}, {"enum": ["a", None]}),
    "bounds by a boolean": (
        {"type": "integer", "minimum": 0, "exclusiveMinimum": True, "maximum": 9, "exclusiveMaximum": True},
        {"type": "integer", "minimum": 1, "maximum": 8},
    ),
}
"""Schemas in words of OpenAPI 3.0, and the same in JSON schema's."""

REFUSED: dict[str, tuple[Any, str]] = {
    "remote reference": (
        {"$ref": "https://example.com/s.json"},
        r"`\$ref` at #: .*only references within it",
    ),
    "reference to nothing": (
        {"properties": {"a": {"$ref": "#/$defs/x"}}},
        r"`\$ref` at #/properties/a: .*leads to no schema",
    ),
    "reference to itself": ({"$ref": "#"}, r"`\$ref` at #: leads only back to itself"),
    "decimal multiples": (
        {"properties": {"a": {"multipleOf": 0.01}}},
        "`multipleOf` at #/properties/a: 0.01 is not supported",
    ),
    "free sets": (
        {"items": {"type": "array", "uniqueItems": True}},
        "`uniqueItems` at #/items: is supported for items that are an enum",
    ),
    "overlap": (
        {"oneOf": [{"type": "integer"}, {"type": "number"}]},
        "`oneOf` at #: its alternatives overlap.*anyOf",
    ),
    "lookahead": ({"type": "string", "pattern": "(?=a)b"}, r"`pattern` at #: .*is not supported"),
    "back reference": ({"type": "string", "pattern": "(a)\\1"}, r"`pattern` at #: .*is not supported"),
    "not of a pattern of names": (
        {"not": {"patternProperties": {"a": {}}}},
        "`patternProperties` at #/not: is not supported inside `not`",
    ),
    "unevaluated": ({"allOf": [{"unevaluatedProperties": False}]}, "`unevaluatedProperties` at #/allOf/0"),
    "items unevaluated": ({"unevaluatedItems": False}, "`unevaluatedItems` at #"),
    "dynamic": ({"$dynamicRef": "#a"}, r"`\$dynamicRef` at #"),
    "most that are contained": ({"contains": {}, "maxContains": 2}, "`maxContains` at #"),
    "impossible": ({"type": "string", "allOf": [{"type": "null"}]}, "no value can meet the schema"),
    "never": (False, "no value can meet the schema"),
    "without end": (
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        "no value can meet the schema",
    ),
    "unknown type": (
        {"properties": {"a": {"type": "set"}}},
        "`type` at #/properties/a: must be one of array",
    ),
    "length in words": ({"minLength": "3"}, "`minLength` at #: must be a whole number"),
    "schema that is a number": ({"properties": {"a": 3}}, "#/properties/a must be a schema, not a number"),
}
"""Each is refused, naming the keyword and its place."""
