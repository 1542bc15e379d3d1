from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.embedded import engine_directory
from pipeline.embedded.engine_directory import open_directory
from pipeline.runtime.errors import Stop


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a disk that is nearly full the engine is not even opened: it would leave files it cannot read again."""
    monkeypatch.setattr(engine_directory, "MIN_FREE_BYTES", 1 << 60)
    with pytest.raises(Stop, match=r"^less than \d+ MiB are free for .*: free some space, or choose another --path$"):
        open_directory(tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []
