"""Partial indexes, in the words of every kind of database."""

from typing import Any

from sqlalchemy import text


def where(condition: str) -> dict[str, Any]:
    """What makes an index partial: the rows for which this holds."""
    return {f"{kind}_where": text(condition) for kind in ("sqlite", "postgresql")}
