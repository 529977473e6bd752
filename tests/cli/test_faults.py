"""What can be wrong before a gateway is up: the right exit code, clear sentences on stderr, no traceback."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from helix.admit.keys import new_key
from tests.cli.command import LEAN, Up, free_port, helix

MODELS = "model_list: [{model_name: a, litellm_params: {model: demo/echo}}]\n"

WRONG = {
    "unknown key": (MODELS + "helix: {chache: {}}", "helix.chache: unknown key (did you mean 'cache'?)"),
    "unknown key below": (MODELS + "helix: {cache: {ttl: 5}}", "helix.cache.ttl: unknown key"),
    "wrong value": (MODELS + "helix: {cache: {mode: fuzzy}}", "helix.cache.mode: input should be 'exact', 'semantic'"),
    "wrong type": (MODELS + "helix: {server: {port: many}}", "helix.server.port: input should be a valid integer"),
    "unknown entity": (MODELS + "helix: {redact: {entities: {SHOE_SIZE: mask}}}", "unknown entity 'SHOE_SIZE'"),
    "unknown strategy": (
        MODELS + "helix: {redact: {entities: {US_SSN: burn}}}",
        "helix.redact.entities.US_SSN: input should be 'placeholder'",
    ),
    "unknown router setting": (MODELS + "router_settings: {num_retry: 1}", "router_settings.num_retry: unknown key"),
    "wrong router setting": (MODELS + "router_settings: {timeout: soon}", "router_settings.timeout"),
    "no model": ("helix: {}", "model_list: field required"),
    "a model without parameters": ("model_list: [{model_name: a}]", "model_list[0]"),
    "a variable that is not set": (
        "model_list: [{model_name: a, litellm_params: {model: openai/a, api_key: os.environ/NOT_THERE}}]",
        "model_list[0].litellm_params.api_key: the environment variable NOT_THERE is not set",
    ),
    "a short secret": (MODELS + "helix: {admit: {key_secret: short}}", "helix.admit.key_secret"),
    "a ClickHouse URL": (MODELS + "helix: {telemetry: {clickhouse_url: 'ftp://x'}}", "helix.telemetry.clickhouse_url:"),
    "a Redis URL": (MODELS + "helix: {redis_url: 'http://u:hunter2@x'}", "helix.redis_url: must be redis://"),
    "not YAML": ("model_list: [", "is not valid YAML at line 1"),
    "not a mapping": ("- 1", "must hold a mapping"),
    "open to all": (
        MODELS + "helix: {admit: {auth: 'off'}, server: {host: 0.0.0.0}}",
        "helix.admit lets everybody in while helix.server.host is 0.0.0.0",
    ),
}


def refused(*arguments: str, code: int, **env: str) -> str:
    """The sentences with which a command refuses."""
    told = helix(*arguments, **env)
    assert (told.returncode, told.stdout) == (code, ""), told.stderr
    assert told.stderr.startswith("helix: ")
    assert "Traceback" not in told.stderr
    return told.stderr.removeprefix("helix: ")


@pytest.mark.parametrize("name", WRONG)
def test_wrong_configuration(name: str, tmp_path: Path, data: Path) -> None:
    """Exit code 2 and one line for the fault with its path, before anything is started or written."""
    text, expected = WRONG[name]
    file = tmp_path / "helix.yaml"
    file.write_text(text)
    said = refused("up", "--no-ray", "-c", str(file), "--data", str(data), code=2).splitlines()
    assert said[0] == "the configuration is wrong"
    assert expected in said[1]
    assert len(said) == 2
    assert "hunter2" not in said[1]
    assert not data.exists()


def test_each_fault_has_a_line(tmp_path: Path, data: Path) -> None:
    """Several faults are told at once."""
    file = tmp_path / "helix.yaml"
    file.write_text(MODELS + "helix: {chache: {}, server: {port: 0, hots: x}}")
    said = refused("up", "-c", str(file), "--data", str(data), code=2).splitlines()
    assert sorted(line.split(":")[0] for line in said[1:]) == [
        "helix.chache",
        "helix.server.hots",
        "helix.server.port",
    ]


def test_the_same_on_ray(tmp_path: Path, data: Path) -> None:
    """What is wrong is told before Ray is started."""
    file = tmp_path / "helix.yaml"
    file.write_text(MODELS + "router_settings: {num_retry: 1}")
    assert "num_retry" in refused("up", "-c", str(file), "--data", str(data), code=2)
    assert not data.exists()


@pytest.mark.parametrize("which", ["missing", "folder", "binary"])
def test_unreadable_configuration(which: str, tmp_path: Path) -> None:
    """A file that is not there, not a file, or not text: named, exit code 2."""
    file = tmp_path / "helix.yaml"
    if which == "folder":
        file.mkdir()
    elif which == "binary":
        file.write_bytes(b"\xff\xfe\x00")
    assert str(file) in refused("up", "--no-ray", "-c", str(file), code=2)


def test_auth_off_is_for_loopback(data: Path) -> None:
    """HELIX_AUTH=off with an address that others reach is refused, by the command line's host as well."""
    said = refused("up", "--no-ray", "--host", "0.0.0.0", "--data", str(data), code=2, HELIX_AUTH="off")
    assert "loopback" in said


def test_wrong_variables(data: Path) -> None:
    """A variable's value is checked like a key's."""
    assert "HELIX_AUTH must be" in refused("up", "--no-ray", "--data", str(data), code=2, HELIX_AUTH="no")
    assert "HELIX_PORT" in helix("doctor", HELIX_PORT="many").stderr


@pytest.mark.parametrize("arguments", ["--no-ray", "--ray"])
def test_port_in_use(data: Path, arguments: str) -> None:
    """Exit code 1, naming the port and what to do; nothing is started before."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused("up", arguments, "--port", str(port), "--data", str(data), code=1)
    assert f"port {port} on 127.0.0.1 is in use" in said
    assert "--port" in said
    assert not (data / "redis").exists()


def test_the_file_stands_over_variables(tmp_path: Path, data: Path) -> None:
    """HELIX_PORT and HELIX_DATA_DIR fill in what the file leaves open, and no more."""
    file = tmp_path / "helix.yaml"
    other = tmp_path / "other"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        file.write_text(MODELS + f"helix: {{server: {{port: {port}}}, data_dir: {data}}}")
        variables = {"HELIX_PORT": str(free_port()), "HELIX_DATA_DIR": str(other)}
        assert f"port {port} on" in refused("up", "--no-ray", "-c", str(file), code=1, **variables)
        assert data.exists()
        assert not other.exists()
        file.write_text(MODELS)
        variables["HELIX_PORT"] = str(port)
        assert f"port {port} on" in refused("up", "--no-ray", "-c", str(file), code=1, **variables)
        assert other.exists()


def test_an_address_of_somebody_else(data: Path) -> None:
    """An address that this machine does not have is a wrong argument."""
    assert "cannot listen on 192.0.2.1:" in refused(
        "up", "--no-ray", "--host", "192.0.2.1", "--data", str(data), code=2
    )


@pytest.mark.parametrize(
    ("folder", "expected"), [("file", "is a file"), ("file/below", "cannot be made"), ("/proc/self", "cannot be")]
)
def test_data_folder_not_writable(folder: str, expected: str, tmp_path: Path) -> None:
    """A file in its place, a file above it, a file system that takes nothing: exit code 2, naming the folder.

    Not by mode bits, which mean nothing to root.
    """
    (tmp_path / "file").touch()
    path = tmp_path / folder
    said = refused("up", "--no-ray", "--data", str(path), code=2)
    assert expected in said
    assert str(path) in said


def test_data_folder_in_use(data: Path, lean: str) -> None:
    """A second gateway on a folder, and a migration of it, are refused with the folder's name; the first goes on."""
    with Up(data, "--no-ray", "-c", lean) as up:
        up.wait()
        said = refused("up", "--no-ray", "-c", lean, "--data", str(data), "--port", str(free_port()), code=1)
        assert f"the data folder {data} is in use by another helix (pid {up.process.pid})" in said
        said = refused("migrate", "-c", lean, "--data", str(data), code=1)
        assert f"the data folder {data} is in use by another helix (pid {up.process.pid})" in said
        assert up.chat("Still there?")[0] == 200


def test_data_folder_of_a_running_redis(data: Path, lean: str, redis_url: str) -> None:
    """The embedded servers' own locks hold where another than `helix up` has them."""
    import asyncio

    from helix.embedded import EmbeddedRedis

    async def run() -> str:
        server = EmbeddedRedis(data / "redis")
        await server.open()
        try:
            return await asyncio.to_thread(refused_after_progress, "up", "--no-ray", "-c", lean, "--data", str(data))
        finally:
            await server.close()

    assert f"{data / 'redis'} is in use by another Redis" in asyncio.run(run())


def refused_after_progress(*arguments: str) -> str:
    told = helix(*arguments, "--port", str(free_port()))
    assert told.returncode == 2
    assert "Traceback" not in told.stderr
    return told.stderr


def test_redis_gone_at_start(data: Path, lean: str) -> None:
    """The gateway starts, says so, is not ready by Redis' name, and refuses what needs it with 503."""
    with Up(data, "--no-ray", "-c", lean, REDIS_URL=f"redis://127.0.0.1:{free_port()}/0") as up:
        up.wait()
        assert "Redis cannot be reached" in up.errors
        status, health = up.ask("/health/ready")
        assert (status, health["not_ready"]) == (503, ["redis"])
        assert up.ask("/health/live")[0] == 200
        status, reply = up.chat("Anybody?", key=new_key())
        assert (status, reply["error"]["code"]) == (503, "backend_unavailable")
        assert up.end() == 0


def test_clickhouse_gone_at_start(data: Path, lean: str) -> None:
    """The gateway starts and answers; the rows wait on disk and are written when there is a ClickHouse again."""
    with Up(data, "--no-ray", "-c", lean, CLICKHOUSE_URL=f"http://127.0.0.1:{free_port()}") as up:
        up.wait()
        assert "rows wait in" in up.errors
        assert up.ask("/health/ready")[1]["not_ready"] == ["clickhouse"]
        assert up.chat("Is it written down?")[0] == 200
        assert up.end() == 0
        assert "Traceback" not in up.errors
    assert [file for file in (data / "spool").rglob("*") if file.is_file()]
    with Up(data, "--no-ray", "-c", lean) as up:
        up.wait()
        # Old rows are sent in turn; a row of this run that is there says nothing about them, so ask until they are.
        while not (rows := up.ask("/helix/requests")[1]["data"]):
            pass
        assert [row["status"] for row in rows] == [200]


def test_auth_off(data: Path, tmp_path: Path) -> None:
    """On loopback, HELIX_AUTH=off lets everybody in."""
    file = tmp_path / "helix.yaml"
    file.write_text(LEAN)
    with Up(data, "--no-ray", "-c", str(file), HELIX_AUTH="off") as up:
        up.wait()
        assert up.chat("Who am I?", key="nobody")[0] == 200
