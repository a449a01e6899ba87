"""A worker of its own, to be killed: `python -m tests.adapters.worker ORDERS` supervises them.

ORDERS is a JSON list of orders. Writes `begun` once all have a supervisor, then how each ended.
"""

import asyncio
import json
import os
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from adapters.processes import Supervised, supervise
from bot.supervision import Order


def written(orders: list[Order]) -> str:
    """These orders as the argument."""
    return json.dumps(
        [{f.name: getattr(o, f.name) for f in fields(o)} for o in orders], default=str
    )


def _order(values: dict[str, Any]) -> Order:
    return Order(**values | {name: Path(values[name]) for name in ("lock", "cwd", "log")})


async def main() -> None:
    """Supervises the orders of the argument until all have ended."""
    begun: list[Supervised] = [await supervise(_order(each)) for each in json.loads(sys.argv[1])]
    os.write(1, b"begun\n")
    for supervised in begun:
        ending = await supervised.ending()
        os.write(1, f"{ending.kind} {ending.exit_code}\n".encode())


if __name__ == "__main__":
    asyncio.run(main())
