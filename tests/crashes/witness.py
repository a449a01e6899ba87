"""A witness of what workers write: the database itself tells which writes it took, and of whom.

In the process of each worker `take_notes` puts the epoch in whose name a write is made into the
transaction. A trigger notes it beside the epoch that the run had then; what the guards refused
is noted by the worker's own transaction. Of what a run puts out the witness can tell whose it is
where it is the number of an epoch (see `swift`).
"""

from collections.abc import Sequence
from typing import Any

import psycopg

from bot.run import Run
from store import transaction
from store.transitions import Verb
from store.work import RunWork
from tests.engine.house import asked

_MINE = "baton.my_epoch"
_TABLES = """
CREATE TABLE taken (id bigserial, run_id text, mine int, epoch int, what text);
CREATE TABLE refused (id bigserial, run_id text, mine int, epoch int, verb text);
CREATE FUNCTION note_taken() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO taken (run_id, mine, epoch, what)
    VALUES (NEW.id, nullif(current_setting('baton.my_epoch', true), '')::int, OLD.epoch, 'run');
    RETURN NEW;
END $$;
CREATE TRIGGER note_taken AFTER UPDATE ON runs FOR EACH ROW EXECUTE FUNCTION note_taken();
CREATE FUNCTION note_output() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF convert_from(NEW.content, 'UTF8') ~ '^[0-9]+$' THEN
        INSERT INTO taken (run_id, mine, epoch, what)
        SELECT id, convert_from(NEW.content, 'UTF8')::int, epoch, 'output' FROM runs
        WHERE id = NEW.run_id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER note_output AFTER INSERT OR UPDATE ON outputs
FOR EACH ROW EXECUTE FUNCTION note_output();
"""
_NOTE_REFUSED = """
INSERT INTO refused (run_id, mine, epoch, verb)
SELECT id, %(mine)s, epoch, %(verb)s FROM runs WHERE id = %(run_id)s AND epoch > %(mine)s
"""
_OF_AN_EXECUTION = {
    Verb.ATTEMPT,
    Verb.STEP_DONE,
    Verb.NOTICE,
    Verb.PAUSE,
    Verb.COMPLETE,
    Verb.FAIL,
}


def watch_over(url: str) -> None:
    """From now on this database tells of each change of a run."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_TABLES.encode())


def take_notes() -> None:
    """From now on the writes of this process say in whose name they are made."""
    transaction.RunWork = _WitnessedWork  # type: ignore[attr-defined] # where it is looked up


class _WitnessedWork(RunWork):
    def _execute(self, statement: str, values: dict[str, Any]) -> None:
        cursor = self._connection.connection.cursor()
        cursor.execute(statement, values)
        cursor.close()

    def _in_the_name_of(self, epoch: int | None) -> None:
        self._execute(
            "SELECT set_config(%(name)s, %(epoch)s, true)",
            {"name": _MINE, "epoch": "" if epoch is None else str(epoch)},
        )

    def _note_refused(self, verb: str, run_id: str, epoch: int) -> None:
        self._execute(_NOTE_REFUSED, {"verb": verb, "run_id": run_id, "mine": epoch})

    def _swap(self, verb: Verb, run_id: str, epoch: int, **values: Any) -> Run | None:
        self._in_the_name_of(epoch)
        run = super()._swap(verb, run_id, epoch, **values)
        self._in_the_name_of(None)
        if run is None and verb in _OF_AN_EXECUTION:
            self._note_refused(verb, run_id, epoch)
        return run

    def _beat(self, worker: str, run_id: str, epoch: int) -> bool:
        self._in_the_name_of(epoch)
        mine = super()._beat(worker, run_id, epoch)
        self._in_the_name_of(None)
        if not mine:
            self._note_refused("beat", run_id, epoch)
        return mine


def taken_of_zombies(url: str) -> Sequence[Any]:
    """The writes that the database took of somebody whose epoch was gone."""
    return asked(url, "SELECT what, run_id, mine, epoch FROM taken WHERE mine <> epoch")


def refused_to_zombies(url: str) -> Sequence[Any]:
    """The writes that it refused to somebody whose epoch was gone; one for each claim."""
    return asked(url, "SELECT DISTINCT ON (run_id, mine) run_id, mine, epoch, verb FROM refused")


def taken(url: str) -> int:
    """How many writes it took that were made in the name of an epoch."""
    ((count,),) = asked(url, "SELECT count(*) FROM taken WHERE mine IS NOT NULL")
    return int(count)
