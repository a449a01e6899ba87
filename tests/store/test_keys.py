"""Tokens and sessions in the database: digests, names, ends."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from bot.access import Role
from bot.keys import SESSION_SECONDS, Session, Token, digest, new_secret, new_token, valid_name
from bot.ports import Transaction
from store.database import Database, sqlite_file
from tests.store.factories import BEGAN, Clock, write

CI = Token(name="ci", role=Role.OPERATOR, created_at=BEGAN, created_by="cli:ana")
SESSION = Session(name="ana", role=Role.ADMIN, expires_at=BEGAN + 100)


def add(database: Database, token: Token, secret: str) -> bool:
    return bool(write(database, lambda tx: tx.keys.add_token(token, digest(secret))))


def open_session(database: Database, session: Session, secret: str) -> None:
    write(database, lambda tx: tx.keys.open_session(session, digest(secret)))


def session_of(database: Database, secret: str) -> Session | None:
    return database.read(lambda tx: tx.keys.session(digest(secret)))


def token_of(database: Database, secret: str) -> Token | None:
    return database.read(lambda tx: tx.keys.token(digest(secret)))


def test_secrets_are_long_and_never_the_same() -> None:
    made = {make() for make in (new_token, new_secret) for _ in range(100)}
    assert len(made) == 200
    assert all(len(secret) >= 43 for secret in made)
    assert new_token().startswith("baton_")


def test_a_secret_of_any_text_has_a_digest() -> None:
    assert len({digest(text) for text in ("", "a", "\u00fc", "\ud800", "x" * 100_000)}) == 5


@pytest.mark.parametrize("name", ["ci", "a", "A.b_c-9", "9", "x" * 64])
def test_a_name(name: str) -> None:
    assert valid_name(name)


@pytest.mark.parametrize("name", ["", "-a", ".a", "a b", "a:b", "a\n", "\u00fc", "x" * 65, "a/b"])
def test_no_name(name: str) -> None:
    assert not valid_name(name)


def test_a_token_is_found_by_its_secret_alone(database: Database) -> None:
    assert add(database, CI, "secret")
    assert token_of(database, "secret") == CI
    assert token_of(database, "Secret") is None
    assert token_of(database, digest("secret")) is None


def test_a_name_means_one_token_at_a_time(database: Database) -> None:
    assert add(database, CI, "first")
    assert not add(database, replace(CI, role=Role.ADMIN), "second")
    assert token_of(database, "second") is None
    assert write(database, lambda tx: tx.keys.revoke("ci"))
    assert add(database, replace(CI, role=Role.VIEWER), "third")
    assert token_of(database, "first") is None
    found = token_of(database, "third")
    assert found is not None
    assert found.role is Role.VIEWER


def test_the_index_itself_knows_no_two_of_one_name(database: Database) -> None:
    """Whoever looks before they leap may be too late; the database is not."""
    add(database, CI, "first")
    with (
        database.connect() as other,
        other.begin(),
        pytest.raises(IntegrityError),
    ):
        other.exec_driver_sql(
            "INSERT INTO tokens (digest, name, role, created_at, created_by)"
            " VALUES ('x', 'ci', 'admin', 0, 'cli:eve')"
        )


def test_what_is_revoked_stays_listed(database: Database, clock: Clock) -> None:
    add(database, CI, "first")
    clock.now += 5
    assert write(database, lambda tx: tx.keys.revoke("ci"))
    assert not write(database, lambda tx: tx.keys.revoke("ci"))
    assert not write(database, lambda tx: tx.keys.revoke("nobody"))
    add(database, replace(CI, created_at=clock.now), "second")
    listed = database.read(lambda tx: tx.keys.tokens())
    assert [one.revoked_at for one in listed] == [BEGAN + 5, None]


def test_a_use_is_noted_once_a_minute(database: Database, clock: Clock) -> None:
    add(database, CI, "secret")

    def use(after: float) -> float | None:
        clock.now = BEGAN + after
        write(database, lambda tx: tx.keys.used(digest("secret")))
        found = token_of(database, "secret")
        return found.last_used_at if found else None

    assert use(1) == BEGAN + 1
    assert use(30) == BEGAN + 1
    assert use(60) == BEGAN + 1
    assert use(62) == BEGAN + 62


def test_a_session_lasts_until_it_expires(database: Database, clock: Clock) -> None:
    open_session(database, SESSION, "cookie")
    assert session_of(database, "cookie") == SESSION
    assert session_of(database, "other") is None
    clock.now = SESSION.expires_at - 0.001
    assert session_of(database, "cookie") == SESSION
    clock.now = SESSION.expires_at
    assert session_of(database, "cookie") is None
    assert SESSION_SECONDS == 7 * 86400


def test_a_session_ends_with_its_token(database: Database) -> None:
    add(database, CI, "secret")
    tied = replace(SESSION, token=digest("secret"))
    open_session(database, tied, "first")
    open_session(database, tied, "second")
    open_session(database, SESSION, "free")
    assert session_of(database, "first") == tied
    write(database, lambda tx: tx.keys.revoke("ci"))
    assert session_of(database, "first") is None
    assert session_of(database, "second") is None
    assert session_of(database, "free") == SESSION


def test_a_closed_session_opens_nothing(database: Database) -> None:
    open_session(database, SESSION, "first")
    open_session(database, SESSION, "second")
    write(database, lambda tx: tx.keys.close_session(digest("first")))
    write(database, lambda tx: tx.keys.close_session(digest("first")))
    assert session_of(database, "first") is None
    assert session_of(database, "second") == SESSION


def test_expired_sessions_leave_no_rows(database: Database, clock: Clock) -> None:
    open_session(database, SESSION, "old")
    clock.now += 1000
    open_session(database, replace(SESSION, expires_at=clock.now + 1), "new")
    with database.connect() as connection:
        rows = connection.exec_driver_sql("SELECT digest FROM sessions").scalars().all()
    assert rows == [digest("new")]


def test_nothing_stays_of_what_is_rolled_back(database: Database) -> None:
    def fails(tx: Transaction) -> None:
        tx.keys.add_token(CI, digest("secret"))
        tx.keys.open_session(SESSION, digest("cookie"))
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        write(database, fails)
    assert token_of(database, "secret") is None
    assert session_of(database, "cookie") is None


def test_only_digests_are_in_the_file(database: Database, file: Path) -> None:
    token, cookie = new_token(), new_secret()
    add(database, CI, token)
    open_session(database, replace(SESSION, token=digest(token)), cookie)
    content = b"".join(
        file.read_bytes() for file in sqlite_file(database.url).parent.glob("baton.db*")
    )
    assert digest(token).encode() in content
    for secret in (token, token.removeprefix("baton_"), cookie):
        assert secret.encode() not in content
