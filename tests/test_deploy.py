"""What can be known of deploy/ without systemd as the first process and without Docker."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml  # type: ignore[import-untyped]
from hatchling.build import build_wheel

from adapters.web import health
from bot import config
from bot.bootstrap.pages import _refuse_open
from bot.cli import _parser
from bot.config import RunnerSettings, ServerSettings, Settings

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
UNIT = (DEPLOY / "baton.service").read_text(encoding="utf-8")
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
BATON = COMPOSE["services"]["baton"]
NO_SETTINGS = {"BATON_CONFIG", "FORWARDED_ALLOW_IPS", "PYTHONUNBUFFERED"}
PROVEN_SECONDS = 3 * RunnerSettings().grace_seconds


def lines(instruction: str) -> list[str]:
    """What stands behind each such instruction of the Dockerfile."""
    joined = DOCKERFILE.replace("\\\n", " ")
    return re.findall(rf"^{instruction} +(.*)$", joined, re.MULTILINE)


def of_unit(key: str) -> str:
    found = re.findall(rf"^{key}=(.*)$", UNIT, re.MULTILINE)
    assert len(found) == 1, key
    return str(found[0])


def settings_of(environment: dict[str, str]) -> Settings:
    """The settings that these variables make; each must be one."""
    ours = {name: value for name, value in environment.items() if name not in NO_SETTINGS}
    known = [name for name in ours if name.startswith("BATON_") or name in config.ECOSYSTEM]
    assert set(known) == set(ours)
    return config.load(None, ours, {})


# --- the unit --------------------------------------------------------------------------------


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here to verify the unit with")
    unit = tmp_path / "baton.service"
    # What it starts is not installed here, and systemd looks for it.
    unit.write_text(UNIT.replace(of_unit("ExecStart"), shutil.which("true") or "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if "baton" in line]
    assert (done.returncode, complaints) == (0, [])


def test_the_unit_starts_baton_and_leaves_it_time_to_stop() -> None:
    program, *words = of_unit("ExecStart").split()
    assert Path(program).name == "baton"
    assert _parser().parse_args(words).verb == "serve"
    assert int(of_unit("TimeoutStopSec")) > PROVEN_SECONDS
    assert of_unit("KillMode") == "mixed"
    assert of_unit("WorkingDirectory") == f"/var/lib/{of_unit('StateDirectory')}"


# --- the image -------------------------------------------------------------------------------


def test_the_image_has_all_of_baton() -> None:
    sources = {source for line in lines("COPY") for source in line.split()[:-1]}
    assert all((ROOT / source).exists() for source in sources)
    shipped = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = shipped["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert sources == {"requirements/run.txt", *(f"{package}/" for package in packages)}
    let_in = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert {line[1:] for line in let_in if line.startswith("!")} == sources


def test_the_image_is_pinned_and_not_root() -> None:
    assert any("--require-hashes" in line for line in lines("RUN"))
    assert int(lines("USER")[-1]) > 0
    version = re.fullmatch(r"python:(3\.\d+)-slim", lines("FROM")[0])
    assert version
    assert f"Python :: {version[1]}" in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_the_image_serves_on_the_default_port_and_is_asked_for_its_health_there() -> None:
    port = ServerSettings().port
    assert lines("EXPOSE") == [str(port)]
    asked = re.findall(r"http://127\.0\.0\.1:(\d+)(/\w+)", lines("HEALTHCHECK")[0])
    assert [(int(number), path) for number, path in asked] == [(port, "/healthz")]
    assert "/healthz" in {getattr(route, "path", "") for route in health.router.routes}
    assert lines("ENTRYPOINT") == ['["baton"]']
    assert lines("CMD") == ['["serve"]']
    pairs = [pair.split("=", 1) for line in lines("ENV") for pair in line.split()]
    home = lines("WORKDIR")[-1]
    assert settings_of(dict(pairs)).database.url == f"sqlite:///{home}/baton.db"
    assert lines("VOLUME") == [home]


# --- Compose ---------------------------------------------------------------------------------


def filled_in(value: object) -> str:
    """The value with what Compose would put in."""
    return re.sub(r"\$\{\w+:[-?][^}]*\}", "https://baton.example.com", str(value))


def test_compose_names_real_settings() -> None:
    environment = {name: filled_in(value) for name, value in BATON["environment"].items()}
    server = settings_of(environment).server
    _refuse_open(server.host, server.public_url)
    assert BATON["ports"] == [f"127.0.0.1:{server.port}:{server.port}"]


def test_compose_builds_the_image_and_leaves_it_time_to_stop() -> None:
    context = (DEPLOY / BATON["build"]["context"]).resolve()
    assert context == ROOT
    assert (context / BATON["build"]["dockerfile"]).samefile(DEPLOY / "Dockerfile")
    assert int(BATON["stop_grace_period"].removesuffix("s")) > PROVEN_SECONDS
    assert BATON["init"] is True
    places = {volume.split(":")[1]: volume.split(":")[0] for volume in BATON["volumes"]}
    assert places[lines("VOLUME")[0]] in COMPOSE["volumes"]


# --- the package -----------------------------------------------------------------------------


def test_the_wheel_ships_every_file_of_the_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    with ZipFile(tmp_path / build_wheel(str(tmp_path))) as wheel:
        shipped = {name for name in wheel.namelist() if ".dist-info/" not in name}
    ours = {
        path.relative_to(ROOT).as_posix()
        for package in ("adapters", "bot", "store")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert shipped == ours
    assert "adapters/web/templates/base.html" in shipped
    assert "adapters/web/static/baton.js" in shipped
