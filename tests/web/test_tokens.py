"""`baton token`, as real processes beside a Baton that serves."""

import asyncio
import json
from pathlib import Path

import pytest

from store.database import sqlite_file
from tests.web.house import Web, baton

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_token_from_its_making_to_its_end(web: Web) -> None:
    run_id = web.put("failed")
    code, said = await web.baton("token", "create", "ci", "--role", "operator")
    assert code == 0, said
    secret = said.split()[-1]
    assert secret.startswith("baton_")
    script = web.with_token(secret)
    assert (await script.post(f"/api/runs/{run_id}/resume")).json["by"]["actor"] == "api:ci"
    code, said = await web.baton("token", "list")
    assert code == 0
    (line,) = [line for line in said.splitlines() if line.startswith("ci ")]
    assert "operator" in line
    assert "last used" in line
    assert secret not in said
    code, said = await web.baton("token", "revoke", "ci")
    assert code == 0, said
    assert (await script.get("/api/runs")).status == 401
    _, said = await web.baton("token", "list")
    (line,) = [line for line in said.splitlines() if line.startswith("ci ")]
    assert "revoked" in line


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["create", "taken", "--role", "viewer"], 2),
        (["create", "-x", "--role", "viewer"], 2),
        (["create", "a b", "--role", "viewer"], 2),
        (["create", "a:b", "--role", "viewer"], 2),
        (["create", "x" * 65, "--role", "viewer"], 2),
        (["create", "", "--role", "viewer"], 2),
        (["create", "new", "--role", "none"], 2),
        (["create", "new", "--role", "root"], 2),
        (["create", "new"], 2),
        (["revoke", "nobody"], 3),
        (["frob"], 2),
        ([], 2),
    ],
)
async def test_exit_codes(web: Web, words: list[str], expected: int) -> None:
    tokens = await web.service.store.read(lambda tx: tx.keys.tokens())
    if "taken" in words:
        await web.token("viewer", "taken")
        tokens = await web.service.store.read(lambda tx: tx.keys.tokens())
    code, said = await web.baton("token", *words)
    assert code == expected, said
    assert "Traceback" not in said
    assert "baton_" not in said
    assert await web.service.store.read(lambda tx: tx.keys.tokens()) == tokens


@pytest.mark.parametrize("local", ["operator", "none"])
async def test_only_admins_make_and_revoke(web: Web, local: str) -> None:
    await web.token("viewer", f"stays-{local}")
    file: Path = sqlite_file(web.database.url)
    for words in (
        ["create", f"by-{local}", "--role", "viewer"],
        ["revoke", f"stays-{local}"],
    ):
        code, said = await baton(file, "token", *words, BATON_ACCESS__LOCAL=local)
        assert code == 4, said
    valid = await web.service.store.read(
        lambda tx: {one.name for one in tx.keys.tokens() if one.revoked_at is None}
    )
    assert f"stays-{local}" in valid
    assert f"by-{local}" not in valid
    refused = [one for one in web.audited(outcome="denied") if one[2] == "cli"]
    assert refused, "every attempt is audited"


async def test_who_may_nothing_sees_no_tokens(web: Web) -> None:
    await web.token("viewer", "unseen")
    code, said = await baton(
        sqlite_file(web.database.url), "token", "list", BATON_ACCESS__LOCAL="none"
    )
    assert code == 4
    assert "unseen" not in said


async def test_of_two_who_want_a_name_one_gets_it(web: Web) -> None:
    words = ("token", "create", "both", "--role", "viewer")
    results = await asyncio.gather(*(web.baton(*words) for _ in range(3)))
    assert sorted(code for code, _ in results) == [0, 2, 2]
    (secret,) = [said.split()[-1] for code, said in results if code == 0]
    assert (await web.with_token(secret).get("/api/runs")).status == 200
    assert all("There is a token both already" in said for code, said in results if code)


async def test_what_is_done_with_tokens_can_be_read_by_a_script(web: Web) -> None:
    create = ("token", "create", "script", "--role", "operator", "--json")
    code, said = await web.baton(*create, "--as", "zoe")
    made = json.loads(said)
    assert (code, made["outcome"]) == (0, "shown")
    assert made["token"] not in made["reply"]
    assert (await web.with_token(made["token"]).get("/api/runs")).status == 200
    code, said = await web.baton(*create)
    assert (code, json.loads(said)["outcome"]) == (2, "invalid")
    assert "token" not in json.loads(said)
    _, said = await web.baton("token", "list", "--json")
    (kept,) = [one for one in json.loads(said)["tokens"] if one["name"] == "script"]
    assert (kept["role"], kept["created_by"]) == ("operator", "cli:zoe")
    assert made["token"] not in said
    for code, outcome in ((0, "shown"), (3, "not_found")):
        done = await web.baton("token", "revoke", "script", "--json", "--as", "zoe")
        assert (done[0], json.loads(done[1])["outcome"]) == (code, outcome)


async def test_whoever_may_make_no_tokens_hears_who_can(web: Web) -> None:
    file = sqlite_file(web.database.url)
    words = ("token", "create", "by-joe", "--role", "viewer", "--as", "joe", "--json")
    admins = '["cli:zoe", "slack:U1"]'
    code, said = await baton(
        file, *words, BATON_ACCESS__LOCAL="viewer", BATON_ACCESS__ADMINS=admins
    )
    assert (code, json.loads(said)["outcome"]) == (4, "denied")
    assert "Who can, at this command line: cli:zoe. Your id" in json.loads(said)["reply"]
    assert json.loads(said)["reply"].endswith("is cli:joe.")


async def test_making_and_revoking_are_audited(web: Web) -> None:
    await web.baton("token", "create", "audited", "--role", "admin")
    await web.baton("token", "revoke", "audited")
    with web.database.connect() as connection:
        asked = "SELECT verb, door, actor, detail FROM events WHERE detail LIKE '%audited%'"
        found = connection.exec_driver_sql(asked).all()
    assert [(verb, door) for verb, door, _, _ in found] == [
        ("token-create", "cli"),
        ("token-revoke", "cli"),
    ]
    assert all(actor.startswith("cli:") for _, _, actor, _ in found)
