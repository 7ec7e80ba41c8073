"""The tables of the store: one for records, one for tags, one row with the version of this schema."""

from __future__ import annotations

from sqlalchemy import Column, Float, Integer, MetaData, String, Table, Text

VERSION = 1

METADATA = MetaData()

ABOUT = Table(
    "about",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("schema_version", Integer, nullable=False),
)

RECORDS = Table(
    "records",
    METADATA,
    Column("kind", String(32), primary_key=True),
    Column("name", String(256), primary_key=True),
    Column("arn", String(512), nullable=False, index=True),
    Column("created_at", Float, nullable=False),
    Column("document", Text, nullable=False),
)

TAGS = Table(
    "tags",
    METADATA,
    Column("arn", String(512), primary_key=True),
    Column("key", String(256), primary_key=True),
    Column("value", String(1024), nullable=False),
)
