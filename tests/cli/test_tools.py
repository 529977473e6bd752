"""`helix migrate` and `helix doctor`."""

from __future__ import annotations

from pathlib import Path

from tests.cli.command import Up, free_port, helix


def test_migrate_twice(data: Path) -> None:
    """The first brings the schema up to date and says how, the second finds nothing to do."""
    first, second = (helix("migrate", "--data", str(data)) for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "applied 0001_" in first.stdout
    assert second.stdout.rstrip().endswith("up to date")
    assert str(data / "clickhouse") in second.stdout


def test_migrate_without_telemetry(tmp_path: Path, data: Path) -> None:
    """Where nothing is recorded, there is nothing to migrate: exit code 2."""
    file = tmp_path / "helix.yaml"
    file.write_text(
        "model_list: [{model_name: a, litellm_params: {model: demo/echo}}]\nhelix: {telemetry: {enabled: false}}"
    )
    told = helix("migrate", "-c", str(file), "--data", str(data))
    assert (told.returncode, told.stderr.count("Traceback")) == (2, 0)
    assert "helix.telemetry.enabled" in told.stderr


def test_migrate_without_clickhouse(data: Path) -> None:
    """A ClickHouse that does not answer: named, exit code 1."""
    told = helix("migrate", "--data", str(data), CLICKHOUSE_URL=f"http://127.0.0.1:{free_port()}")
    assert (told.returncode, told.stderr.count("Traceback")) == (1, 0)
    assert told.stderr.startswith("helix: ClickHouse at 127.0.0.1")


def test_doctor_finds_nothing_missing(data: Path) -> None:
    """With all extras installed: exit code 0, every part with its version, and nothing changed."""
    told = helix("doctor", "--data", str(data))
    assert told.returncode == 0, told.stdout
    for word in ("presidio-analyzer", "redisvl", "chdb", "gradio", "ray", "embedded", "demo/echo"):
        assert word in told.stdout
    assert "\x1b" not in told.stdout
    assert not data.exists()


def test_doctor_names_what_does_not_answer(data: Path) -> None:
    """Servers of one's own that are gone are missing: exit code 1, and what to do."""
    told = helix(
        "doctor",
        "--data",
        str(data),
        REDIS_URL=f"redis://:hunter2@127.0.0.1:{free_port()}",
        CLICKHOUSE_URL=f"http://u:hunter2@127.0.0.1:{free_port()}",
    )
    assert told.returncode == 1
    missing = [line for line in told.stdout.splitlines() if line.strip().startswith("missing")]
    assert [line.split()[1] for line in missing] == ["redis", "clickhouse"]
    assert "hunter2" not in told.stdout + told.stderr


def test_doctor_beside_a_gateway(gateway: Up) -> None:
    """A port in use is said, and is no fault: it is Helix itself more often than not."""
    told = helix("doctor", "--data", str(gateway.data), HELIX_PORT=str(gateway.port))
    assert told.returncode == 0, told.stdout
    assert "in use" in told.stdout


def test_doctor_with_a_real_redis(redis_url: str, data: Path) -> None:
    """A Redis with search is what is needed."""
    told = helix("doctor", "--data", str(data), REDIS_URL=redis_url)
    assert "reachable, with search" in told.stdout
