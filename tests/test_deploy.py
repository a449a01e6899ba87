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

from adapters import descriptors
from adapters.web import health
from adapters.web.serve import MOST_CONNECTIONS, most_connections
from bot import config
from bot.cli import _parser
from bot.config import RunnerSettings, ServerSettings, Settings
from store.database import is_shared

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
UNIT = (DEPLOY / "baton.service").read_text(encoding="utf-8")
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
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


def test_the_unit_gives_as_many_descriptors_as_baton_asks_for() -> None:
    soft, hard = map(int, of_unit("LimitNOFILE").split(":"))
    assert most_connections(soft) == MOST_CONNECTIONS
    assert soft == descriptors.ENOUGH <= hard


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
    settings = settings_of(dict(pairs))
    assert settings.database.url == f"sqlite:///{home}/baton.db"
    assert settings.runner.directory == home
    assert lines("VOLUME") == [home]


# --- Compose ---------------------------------------------------------------------------------


def compose(name: str) -> dict[str, Any]:
    """A Compose file, with what its anchors stand for."""
    read: dict[str, Any] = yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))
    return read


SERVICES = [
    pytest.param(name, service, id=f"{name} {service}")
    for name in ("compose.yaml", "compose.machines.yaml")
    for service in compose(name)["services"]
    if service != "postgres"
]
every_service = pytest.mark.parametrize(("name", "service"), SERVICES)


def filled_in(value: object) -> str:
    """The value with what Compose would put in."""
    return re.sub(r"\$\{\w+:[-?][^}]*\}", "https://baton.example.com", str(value))


def of(name: str, service: str) -> dict[str, Any]:
    found: dict[str, Any] = compose(name)["services"][service]
    return found


@every_service
def test_compose_names_real_settings(name: str, service: str) -> None:
    baton = of(name, service)
    environment = {key: filled_in(value) for key, value in baton["environment"].items()}
    settings = settings_of(environment)
    assert not settings.server.in_the_clear
    for port in baton.get("ports", []):
        address, _, inside = port.split(":")
        assert (address, inside) == ("127.0.0.1", str(settings.server.port))
    assert is_shared(settings.database.url)
    assert _parser().parse_args(baton.get("command", ["serve"])).verb in {"serve", "worker"}


@every_service
def test_compose_builds_the_image_and_leaves_it_time_to_stop(name: str, service: str) -> None:
    baton = of(name, service)
    context = (DEPLOY / baton["build"]["context"]).resolve()
    assert context == ROOT
    assert (context / baton["build"]["dockerfile"]).samefile(DEPLOY / "Dockerfile")
    assert int(baton["stop_grace_period"].removesuffix("s")) > PROVEN_SECONDS
    assert baton["init"] is True
    places = {volume.split(":")[1]: volume.split(":")[0] for volume in baton["volumes"]}
    assert places[lines("VOLUME")[0]] in compose(name)["volumes"]


def test_two_machines_share_nothing_but_the_database() -> None:
    services = compose("compose.machines.yaml")["services"]
    batons = [service for service in services if service != "postgres"]
    volumes = [volume.split(":")[0] for one in batons for volume in services[one]["volumes"]]
    assert len(volumes) == len(set(volumes)) == len(batons) == 4
    hosts = [services[one]["command"][-1] for one in batons if "command" in services[one]]
    assert sorted(hosts) == ["worker-1", "worker-2"]


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
