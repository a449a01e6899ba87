"""What a path calls a run."""

from typing import Annotated

from fastapi import Path
from pydantic import AfterValidator

_LONGEST = 64
"""No id is as long as that."""


def _one_word(run: str) -> str:
    """One word that names what the path names, and no other run; without one, any would do."""
    seen = "".join(c if c.isprintable() and not c.isspace() else "?" for c in run)
    return seen[:_LONGEST] or "?"


RunPath = Annotated[
    str,
    Path(description="a run's id, or a unique prefix of 4 or more", examples=["k3x9mq2a"]),
    AfterValidator(_one_word),
]
