"""The data folder: where the embedded servers keep their files and the gateway its secrets."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from helix.kernel.errors import ConfigError, HelixError

__all__ = ["DataDir", "DataDirInUse"]


class DataDirInUse(HelixError):
    """Another gateway runs on the folder."""


class DataDir:
    """A folder that exists and can be written. Raises ConfigError where it cannot be made so."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except FileExistsError:
            raise ConfigError(f"the data folder {self.path} is a file", "helix.data_dir") from None
        except OSError as error:
            raise ConfigError(
                f"the data folder {self.path} cannot be made: {error.strerror}", "helix.data_dir"
            ) from None
        if not os.access(self.path, os.W_OK | os.X_OK) or not self._can_write():
            raise ConfigError(
                f"the data folder {self.path} cannot be written; choose another with --data", "helix.data_dir"
            )

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Hold the folder for this process until the block ends, or the process. Raises DataDirInUse.

        The embedded servers lock their own folders; this tells people before anything is started.
        """
        with (self.path / "helix.lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                owner = lock.read().strip()
                by = f" (pid {owner})" if owner.isdigit() else ""
                raise DataDirInUse(
                    f"the data folder {self.path} is in use by another helix{by}: "
                    "end that one, or choose another folder with --data"
                ) from None
            lock.truncate(0)
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            yield

    def secret(self, name: str, prefix: str = "") -> tuple[str, bool]:
        """A secret kept in `name` with mode 600, made at first use; and whether it was made just now.

        Two processes that start at once get the same secret: the file is linked into place whole, or not at all.
        Raises ConfigError where it can be neither read nor made.
        """
        file = self.path / name
        try:
            made = not file.exists() and self._make(file, f"{prefix}{secrets.token_urlsafe(32)}\n")
        except OSError as error:
            raise ConfigError(f"the secret {file} cannot be made: {error.strerror}", "helix.data_dir") from None
        return self._read(file), made

    def _make(self, file: Path, text: str) -> bool:
        draft = self.path / f".{file.name}.{os.getpid()}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(descriptor, "w") as out:
                out.write(text)
            os.link(draft, file)
        except FileExistsError:
            return False
        finally:
            draft.unlink()
        return True

    def _read(self, file: Path) -> str:
        try:
            text = file.read_text().strip()
        except OSError as error:
            raise ConfigError(f"the secret in {file} cannot be read: {error.strerror}") from None
        if not text:
            raise ConfigError(f"the secret in {file} is empty; remove the file to have a new one made")
        return text

    def _can_write(self) -> bool:
        # os.access says yes to root for everything, also on a read-only file system.
        probe = self.path / f".probe.{os.getpid()}"
        try:
            probe.touch()
            probe.unlink()
        except OSError:
            return False
        return True
