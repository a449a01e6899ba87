"""The ends of outputs: what other hosts are shown of a run's log."""

from sqlalchemy import Connection, bindparam, select, text

from bot.output import Output
from store.statement import Statement
from store.tables import outputs

_STILL_SECONDS = 5.0

_PUT = Statement(
    text(
        "INSERT INTO outputs (run_id, start, content, at)"
        " SELECT id, :start, :content, :now FROM runs WHERE id = :run AND epoch = :my_epoch"
        " ON CONFLICT (run_id) DO UPDATE SET"
        " start = excluded.start, content = excluded.content, at = excluded.at"
    )
)
_GET = Statement(
    select(outputs.c.start, outputs.c.content, outputs.c.at).where(
        outputs.c.run_id == bindparam("run")
    )
)


class OutputShelf:
    """Implements bot.output.Outputs on an open connection."""

    def __init__(self, connection: Connection, now: float) -> None:
        self._connection = connection
        self._now = now

    def put(self, run_id: str, epoch: int, output: Output) -> None:
        values = {"run": run_id, "my_epoch": epoch}
        values |= {"start": output.start, "content": output.content}
        _PUT.run(self._connection, values | {"now": self._now})

    def get(self, run_id: str) -> Output | None:
        row = _GET.row(self._connection, {"run": run_id})
        if row is None:
            return None
        start, content, at = row
        return Output(start, bytes(content), still=self._now - at > _STILL_SECONDS)
