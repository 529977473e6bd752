"""`helix cache` against a running gateway: see, flush, carry, warm; and files that are broken."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helix.cli import carry, warming
from helix.kernel.errors import ConfigError
from tests.cli.command import Up
from tests.cli.test_admin import at


def warmed(gateway: Up, file: Path, *lines: Any) -> dict[str, int]:
    """Send requests of a file; what became of them."""
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    told: dict[str, int] = json.loads(at(gateway, "cache", "warm", str(file), "--per-second", "100"))
    return told


def question(text: str) -> dict[str, Any]:
    return {"model": "demo/echo", "messages": [{"role": "user", "content": text}]}


def entries(gateway: Up, *arguments: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(at(gateway, "cache", "show", "--json", *arguments))
    return rows


def test_from_warming_to_flushing(gateway: Up, tmp_path: Path) -> None:
    """Requests of a file are answered and kept; listed, exported, flushed after a dry run, and brought back."""
    at(gateway, "cache", "flush", "--all")
    tagged = {"path": "/v1/chat/completions", "request": question("two"), "headers": {"x-helix-cache-tags": "batch"}}
    file = tmp_path / "requests.jsonl"
    assert warmed(gateway, file, question("one"), tagged, {**question("three"), "stream": True}) == {"miss": 3}
    while len(entries(gateway)) < 3:
        pass  # stored off the caller's path
    assert warmed(gateway, file, question("one"), question("three")) == {"exact": 2}
    assert [row["tags"] for row in entries(gateway, "--tag", "batch")] == [["batch"]]
    assert "demo/echo" in at(gateway, "cache", "show")

    exported = tmp_path / "cache.jsonl.gz"
    assert json.loads(at(gateway, "cache", "export", str(exported)))["entries"] == 3
    assert "exists" in at(gateway, "cache", "export", str(exported), code=2)

    assert json.loads(at(gateway, "cache", "flush", "--tag", "batch", "--dry-run")) == {"removed": 1, "dry_run": True}
    assert len(entries(gateway)) == 3
    assert json.loads(at(gateway, "cache", "flush", "--tag", "batch")) == {"removed": 1, "dry_run": False}
    brought = json.loads(at(gateway, "cache", "import", str(exported)))
    assert brought == {"stored": 1, "present": 2, "expired": 0, "refused": 0}
    assert warmed(gateway, file, tagged) == {"exact": 1}

    wrong = entries(gateway)[0]["id"]
    marked = json.loads(at(gateway, "cache", "feedback", "wrong", "--entry", wrong))
    assert marked == {"entry": wrong, "evicted": True, "counted": False}
    assert json.loads(at(gateway, "cache", "precision"))["hits"] == 0
    longer = json.loads(at(gateway, "cache", "extend", "--ttl", "9000", "--entry", entries(gateway)[0]["id"]))
    assert longer == {"extended": 1}
    at(gateway, "cache", "flush", "--model", "demo/echo")
    assert entries(gateway) == []


def test_what_is_said_wrongly(gateway: Up) -> None:
    """A wrong argument is code 2; what the gateway refuses is its own sentence, code 1."""
    assert "--entry ID" in at(gateway, "cache", "extend", "--ttl", "60", code=2)
    assert "--entry ID" in at(gateway, "cache", "feedback", "wrong", code=2)
    assert "no such cached answer" in at(gateway, "cache", "feedback", "wrong", "--entry", "x", code=1)
    assert "x-helix-request-id" in at(gateway, "cache", "feedback", "right", "--request", "x", code=1)
    assert "--most-used" in at(gateway, "cache", "show", "--most-used", "--tag", "a", code=2)
    assert "either" in at(gateway, "cache", "calibrate", "--out", "made.json", code=2)
    few = at(gateway, "cache", "calibrate", "--from-traffic", "--out", "made.json", code=2)
    assert "at least 50 pairs of each kind" in " ".join(few.replace("│", " ").split())
    assert "--entry alone" in at(gateway, "cache", "flush", "--entry", "a", "--tag", "b", code=2)
    assert "helix.cache.mode" in at(gateway, "cache", "similar", "a text", code=1)  # this one has no semantic tier


def pages(*sizes: int) -> Callable[[str | None], Any]:
    """An API that gives so many entries a page."""

    def page(cursor: str | None) -> Any:
        number = int(cursor or 0)
        data = [{"id": f"{number}-{n}", "expires_at": 1.0, "fields": {"answer": "AA=="}} for n in range(sizes[number])]
        return {"layout": "l", "data": data, "next_cursor": str(number + 1) if number + 1 < len(sizes) else None}

    return page


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
@pytest.mark.parametrize("sizes", [(0,), (3,), (50, 50, 7)])
def test_a_file_holds_what_was_written(tmp_path: Path, name: str, sizes: tuple[int, ...]) -> None:
    """Every entry once, in pages; nothing else is left in the folder."""
    file = tmp_path / name
    assert carry.write(file, pages(*sizes)) == sum(sizes)
    assert [found.name for found in tmp_path.iterdir()] == [name]
    assert carry.check(file) == "l"
    sent: list[Any] = []

    def send(entries: list[Any]) -> Any:
        sent.extend(entries)
        return {"stored": len(entries)}

    assert carry.load(file, send)["stored"] == sum(sizes)
    assert len({entry["id"] for entry in sent}) == sum(sizes)


def test_an_export_is_its_owners(tmp_path: Path) -> None:
    """Nobody else may read it, not even where one that broke off had left its part."""
    (tmp_path / ".cache.jsonl.part").touch(mode=0o644)
    carry.write(tmp_path / "cache.jsonl", pages(1))
    assert (tmp_path / "cache.jsonl").stat().st_mode & 0o777 == 0o600


def test_an_export_that_breaks_off_leaves_no_file(tmp_path: Path) -> None:
    """A gateway that goes away between two pages."""

    def page(cursor: str | None) -> Any:
        if cursor is not None:
            raise ConfigError("gone")
        return pages(2, 2)(cursor)

    with pytest.raises(ConfigError, match="gone"):
        carry.write(tmp_path / "a.jsonl", page)
    assert list(tmp_path.iterdir()) == []


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda whole: whole[: len(whole) // 2],
    "without its end": lambda whole: b"".join(whole.splitlines(keepends=True)[:-1]),
    "changed": lambda whole: whole.replace(b'"AA=="', b'"AB=="', 1),
    "one entry less": lambda whole: b"".join(line for n, line in enumerate(whole.splitlines(keepends=True)) if n != 2),
    "no export": lambda whole: b'{"model": "m"}\n',
    "another version": lambda whole: whole.replace(b'"helix_cache":1', b'"helix_cache":2'),
    "no JSON": lambda whole: b"\xff\xfe" * 100,
    "not an object": lambda whole: whole.replace(b"\n{", b"\n[1]\n{", 1),
    "empty": lambda whole: b"",
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_refused_whole(tmp_path: Path, broken: Callable[[bytes], bytes]) -> None:
    """One sentence that names the file, before anything is sent."""
    file = tmp_path / "a.jsonl"
    carry.write(file, pages(3))
    file.write_bytes(broken(file.read_bytes()))
    with pytest.raises(ConfigError, match=r"a\.jsonl is (damaged|cut off|no export)") as raised:
        carry.check(file)
    assert "AA==" not in str(raised.value)


def test_a_broken_archive(tmp_path: Path) -> None:
    """What gzip cannot read is no crash."""
    file = tmp_path / "a.jsonl.gz"
    carry.write(file, pages(50))
    whole = file.read_bytes()
    middle = len(whole) // 2
    changed = [whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :] for at in (middle, middle + 9)]
    for data in (whole[:middle], b"not gzip", *changed):
        file.write_bytes(data)
        with pytest.raises(ConfigError, match=r"a\.jsonl\.gz (cannot be read|is cut off|is damaged)"):
            carry.check(file)
    with gzip.open(file, "wb") as stream:
        stream.write(b"{}")
    with pytest.raises(ConfigError, match="no export"):
        carry.check(file)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("nonsense", "is not JSON"),
        ("[]", "must be a JSON object"),
        ("{}", "with a model"),
        ('{"request": {"model": "m"}, "path": "/helix/keys"}', "path must be one of"),
        ('{"request": {"model": "m"}, "answer": {}}', "1 fields beside"),
        ('{"request": {"model": "m"}, "headers": {"authorization": "x"}}', "headers may begin with"),
        ('{"request": {"model": "m"}, "headers": {"x-helix-cache-tags": "a\\r\\nx: y"}}', "headers may begin with"),
        ('{"request": {"model": "m"}, "headers": ["a"]}', "texts by name"),
    ],
)
def test_a_wrong_line_is_told_before_anything_is_sent(tmp_path: Path, line: str, says: str) -> None:
    """Its number and what is allowed; nothing of what it holds."""
    file = tmp_path / "requests.jsonl"
    file.write_text('{"model": "m", "messages": []}\n' + line)
    with pytest.raises(ConfigError, match=f"line 2: .*{says}.*nothing was sent"):
        warming.warm(file, url="http://127.0.0.1:1", data=tmp_path, key="k", per_second=1, skip=0)
