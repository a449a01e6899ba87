"""The description of the API is true: Schemathesis tries what it allows, and what it does not."""

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.store.factories import STATES
from tests.web.asking import Asking
from tests.web.house import Web

pytestmark = pytest.mark.asyncio(loop_scope="module")

_STREAM = "/api/events"
"""It has no end, so that no client of Schemathesis can read it; test_streams does."""
_CHECKS: list[Callable[..., Any]] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


async def explored(web: Web, directory: Path, examples: int, seconds: int) -> None:
    """Schemathesis's own run in a process of its own: examples, boundaries, and at random.

    That valid data is always accepted is no promise: a workflow has to be there.
    """
    script = await web.script()
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("st")), "run", f"{web.base}/api/openapi.json"),
        *("--header", f"Authorization: {script.headers['Authorization']}"),
        *("--exclude-path", _STREAM),
        *("--exclude-checks", "positive_data_acceptance"),
        *("--phases", "examples,coverage,fuzzing"),
        *("--max-examples", str(examples), "--max-time", str(seconds)),
        "--generation-deterministic",
        *("--continue-on-failure", "--no-color", "--warnings", "off"),
        cwd=directory,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    assert b"Selected: 7/8" in said
    web.assert_clean_log()


async def test_the_description_holds_for_whatever_is_sent(web: Web, tmp_path: Path) -> None:
    await explored(web, tmp_path, 6, 8)


@pytest.mark.soak
async def test_the_description_holds_for_long(web: Web, tmp_path: Path) -> None:
    await explored(web, tmp_path, 3000, 1800)


# --- runs that are there ---------------------------------------------------------------------

OPERATIONS = [
    ("GET", "/api/runs"),
    ("POST", "/api/runs"),
    ("GET", "/api/runs/{run}"),
    ("GET", "/api/runs/{run}/history"),
    ("GET", "/api/runs/{run}/logs"),
    ("POST", "/api/runs/{run}/resume"),
    ("POST", "/api/runs/{run}/cancel"),
]


def _try(script: Asking, method: str, path: str, ids: list[str], examples: int) -> set[int]:
    """What is valid, of runs in every state; the statuses that came."""
    schema = schemathesis.openapi.from_url(f"{script.base}/api/openapi.json")
    found: set[int] = set()

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=schema[path][method].as_strategy(),
        run=st.sampled_from(ids),
        workflow=st.sampled_from(["quick", "flaky", "nope"]),
    )
    def explore(case: Case[Any], run: str, workflow: str) -> None:
        case.path_parameters = {"run": run} if "{run}" in path else {}
        if isinstance(case.body, dict) and "workflow" in case.body:
            case.body["workflow"] = workflow
        # Another request each time, or all but the first would be repeats of it.
        case.headers.clear()
        response = case.call(headers=dict(script.headers))
        case.validate_response(response, checks=_CHECKS)
        found.add(response.status_code)

    explore()
    return found


EXPECTED = {
    "/api/runs": {200},
    "/api/runs/{run}": {200, 300},
    "/api/runs/{run}/history": {200, 300},
    "/api/runs/{run}/logs": {200, 300},
    "/api/runs/{run}/resume": {200, 300, 409},
    "/api/runs/{run}/cancel": {200, 300},
}


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_the_description_holds_for_runs_in_every_state(
    web: Web, method: str, path: str
) -> None:
    script = await web.script()
    ids = [web.put(state) for state in STATES]
    ids += [ids[0][:6]] * 5
    found = await asyncio.to_thread(_try, script, method, path, ids, 25)
    assert found >= EXPECTED[path], found
    web.assert_clean_log()


# --- the description itself ------------------------------------------------------------------


async def described(web: Web) -> dict[str, Any]:
    answer = await web.asking.get("/api/openapi.json")
    assert answer.status == 200
    found: dict[str, Any] = answer.json
    return found


def operations(description: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


async def test_the_description_has_every_path_and_nothing_else(web: Web) -> None:
    found = {(method, path) for method, path, _ in operations(await described(web))}
    assert found == {*OPERATIONS, ("GET", _STREAM)}


async def test_every_operation_tells_its_problems_and_asks_for_a_token(web: Web) -> None:
    description = await described(web)
    schemes = description["components"]["securitySchemes"]
    for method, path, operation in operations(description):
        assert operation["summary"]
        assert [schemes[name]["scheme"] for one in operation["security"] for name in one] == [
            "bearer"
        ]
        for status, response in operation["responses"].items():
            if status >= "300":
                assert list(response["content"]) == ["application/problem+json"], (method, path)
                assert response["description"]
        assert {"401", "422", "429"} <= set(operation["responses"])
        if method == "POST":
            assert {"403", "409", "413", "500"} <= set(operation["responses"])
            names = [parameter["name"] for parameter in operation["parameters"]]
            assert "Idempotency-Key" in names


async def test_the_examples_are_what_they_are_examples_of(web: Web) -> None:
    description = await described(web)
    shown = 0
    for name, schema in description["components"]["schemas"].items():
        whole = {"$ref": f"#/components/schemas/{name}", "components": description["components"]}
        for example in schema.get("examples", []):
            jsonschema_rs.validate(whole, example)
            shown += 1
    assert shown >= 8
