"""The data folder: where the embedded servers keep their files and the gateway its secrets."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from helix.kernel.errors import ConfigError

__all__ = ["DataDir"]


class DataDir:
    """A folder that exists and can be written. Raises ConfigError where it cannot be made so."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"the data folder {self.path} cannot be made: {error.strerror}", "helix.data_dir"
            ) from None
        if not os.access(self.path, os.W_OK | os.X_OK) or not self._can_write():
            raise ConfigError(
                f"the data folder {self.path} cannot be written; choose another with --data", "helix.data_dir"
            )

    def secret(self, name: str, prefix: str = "") -> tuple[str, bool]:
        """A secret kept in `name` with mode 600, made at first use; and whether it was made just now.

        Two processes that start at once get the same secret: the file is linked into place whole, or not at all.
        """
        file = self.path / name
        if not file.exists():
            draft = self.path / f".{name}.{os.getpid()}"
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as out:
                out.write(f"{prefix}{secrets.token_urlsafe(32)}\n")
            try:
                os.link(draft, file)
                made = True
            except FileExistsError:
                made = False
            finally:
                draft.unlink()
            return self._read(file), made
        return self._read(file), False

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
