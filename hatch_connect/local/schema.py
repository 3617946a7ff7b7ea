"""The tables of the state, and how those of an earlier version become those of today."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatch_connect.local.disk import DiskError

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

_VERSION = 1
# To 1: names of content were unique on the whole server, not for each owner.
_TO_1 = """
BEGIN;
CREATE TABLE owned (
    id INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL, name TEXT NOT NULL,
    document TEXT NOT NULL, UNIQUE (owner, name));
INSERT INTO owned
    SELECT id,
        coalesce(json_extract(document, '$.owner'), '5f2c6a3e-0d0b-4c8e-9a51-6d7c1b0f4e21'),
        name, document
    FROM content;
INSERT INTO sqlite_sequence (name, seq) SELECT 'owned', 0
    WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'owned');
UPDATE sqlite_sequence SET seq = (SELECT max(seq) FROM sqlite_sequence
    WHERE name IN ('content', 'owned')) WHERE name = 'owned';
DROP TABLE content;
ALTER TABLE owned RENAME TO content;
PRAGMA user_version = 1;
COMMIT;
"""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS content (
    id INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL, name TEXT NOT NULL,
    document TEXT NOT NULL, UNIQUE (owner, name));
CREATE TABLE IF NOT EXISTS variable (
    content INTEGER NOT NULL REFERENCES content ON DELETE CASCADE,
    name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (content, name));
CREATE TABLE IF NOT EXISTS bundle (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    content INTEGER NOT NULL REFERENCES content ON DELETE CASCADE, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS job (
    key TEXT PRIMARY KEY,
    content INTEGER NOT NULL REFERENCES content ON DELETE CASCADE, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS deployment (
    id TEXT PRIMARY KEY,
    content INTEGER NOT NULL REFERENCES content ON DELETE CASCADE, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS named (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, name TEXT NOT NULL,
    parent INTEGER NOT NULL, guid TEXT NOT NULL UNIQUE, UNIQUE (kind, name, parent));
CREATE TABLE IF NOT EXISTS link (
    content INTEGER NOT NULL REFERENCES content ON DELETE CASCADE,
    named INTEGER NOT NULL REFERENCES named ON DELETE CASCADE,
    role TEXT NOT NULL, PRIMARY KEY (content, named));
CREATE TABLE IF NOT EXISTS account (
    named INTEGER PRIMARY KEY REFERENCES named ON DELETE CASCADE, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS member (
    team INTEGER NOT NULL REFERENCES named ON DELETE CASCADE,
    user INTEGER NOT NULL REFERENCES named ON DELETE CASCADE, PRIMARY KEY (team, user));
"""


def migrate(database: sqlite3.Connection, folder: Path) -> None:
    """Make the tables, or make those of an earlier version what they are now.

    Raises DiskError for those of a later one.
    """
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > _VERSION:
        raise DiskError(
            f"The state in {folder} is that of a later version of hatch-connect.",
            hint="Upgrade hatch-connect, or set XDG_STATE_HOME to another folder.",
        )
    there = database.execute("SELECT 1 FROM sqlite_master WHERE name = 'content'")
    if there.fetchone() and version < 1:
        database.executescript(_TO_1)
    database.executescript(_SCHEMA)
    if version < _VERSION:
        database.execute(f"PRAGMA user_version = {_VERSION}")
