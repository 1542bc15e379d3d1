from __future__ import annotations

import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.event_values import Value, values_of
from pipeline.cli.main import run
from pipeline.cli.validating import verdicts
from schemas import modes
from schemas.event import EVENT_TYPES

EXAMPLES = Path(__file__).parents[3] / "schemas" / "examples"
GOOD = json.loads((EXAMPLES / "payment" / "valid" / "whole.json").read_bytes())
BAD = {**GOOD, "properties": {"outcome": "perhaps"}}


def line(document: Any) -> bytes:
    return json.dumps(document).encode()


def written(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "events"
    path.write_bytes(content)
    return str(path)


def answer(file: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, Any]:
    exit_code = run(["validate", file, "--format", "json"])
    return exit_code, json.loads(capsys.readouterr().out)


def test_lines_are_judged_each_for_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Accepted and rejected are counted, blank lines are none, and each error names its line, its event and its field."""
    file = written(tmp_path, b"\n".join([line(GOOD), b"", line(BAD), b"{broken", b'["x"]', line(GOOD)]))
    exit_code, said = answer(file, capsys)
    assert (exit_code, said["accepted"], said["warnings"]) == (1, 2, [])
    assert [(one["line"], one["index"], one["event_id"]) for one in said["rejected"]] == [
        (3, 1, GOOD["event_id"]),
        (4, 2, ""),
        (5, 3, ""),
    ]
    assert said["rejected"][0]["errors"][0]["field"] == "properties.outcome"
    assert said["rejected"][1]["errors"][0]["message"].startswith("not JSON: ")


def test_a_person_reads_a_line_for_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The counts on stdout, the errors on stderr, at most 20 of them."""
    assert run(["validate", written(tmp_path, line(GOOD))]) == 0
    assert capsys.readouterr() == ("1 accepted, 0 rejected\n", "")
    assert run(["validate", written(tmp_path, line(BAD) + b"\n" + line(GOOD))]) == 1
    said = capsys.readouterr()
    assert said.out == "1 accepted, 1 rejected\n"
    assert said.err == "line 1: properties.outcome: Input should be 'succeeded' or 'failed'\n"
    assert run(["validate", written(tmp_path, b"7\n" * 25)]) == 1
    assert capsys.readouterr().err.splitlines()[20:] == ["… and more; --format json lists them all"]


def test_examples_of_events_are_what_they_are_called() -> None:
    """An event that fills a file over many lines is one event; valid ones are accepted, others and records of other topics are not."""
    judged = {}
    for path in EXAMPLES.glob("*/*/*.json"):
        with path.open("rb") as file:
            lines, values = values_of(file)
            (judged["/".join(path.parts[-3:])],) = [not verdict.errors for verdict in verdicts(values, lines=lines)]
    assert {name for name, accepted in judged.items() if accepted} == {
        "/".join(path.parts[-3:]) for event_type in EVENT_TYPES for path in EXAMPLES.glob(f"{event_type}/valid/*.json")
    }


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (b"[]", []),
        (b" \n[ ] \n", []),
        (b'[{"a":[1,2]},\n\n 7 ,"]"]', [Value(1, b'{"a":[1,2]}'), Value(3, b"7"), Value(3, b'"]"')]),
        (b'["\\\\",\n"\\",",{}]', [Value(1, b'"\\\\"'), Value(2, b'"\\","'), Value(2, b"{}")]),
        (b"[1,,2]", [Value(1, b"1"), Value(1, b"", "an element is missing"), Value(1, b"2")]),
        (b"[1,\n]", [Value(1, b"1"), Value(1, b"", "an element is missing")]),
        (b"[1,\n{", [Value(1, b"1"), Value(2, b"", "the file ends before its array does")]),
        (b"[1}", [Value(1, b"1"), Value(1, b"", "the array ends with }")]),
        (b"[1]\n{}", [Value(1, b"1"), Value(2, b"", "something follows the array")]),
    ],
)
@pytest.mark.parametrize("chunk_bytes", [1, 3, 1_000])
def test_elements_of_an_array(text: bytes, values: list[Value], chunk_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each element with the line it begins on, wherever the file happens to be cut while it is read; brackets in texts are text."""
    monkeypatch.setattr("pipeline.cli.event_values._CHUNK_BYTES", max(chunk_bytes, 1 + len(text) - len(text.lstrip())))
    assert list(values_of(io.BytesIO(text))[1]) == values


def test_an_array_is_judged_as_its_lines_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same events in an array, indented as people do, get the same verdicts; a broken element is rejected alone."""
    events = [GOOD, BAD, GOOD, 7]
    text = json.dumps(events, indent=2).replace("\n  7", "\n  {1}")
    exit_code, said = answer(written(tmp_path, text.encode()), capsys)
    assert exit_code == 1
    assert said["accepted"] == 2
    assert [one["index"] for one in said["rejected"]] == [1, 3]
    starts = [number for number, row in enumerate(text.splitlines(), 1) if row.startswith("  {")]
    assert [one["line"] for one in said["rejected"]] == [starts[1], starts[3]]


def test_more_than_a_request_may_have_is_no_error_of_the_events(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """3,000 events, and 400 with thousands of values in each, are accepted: limits of one request are not the file's."""
    many = {**GOOD, "properties": {**GOOD["properties"], "numbers": list(range(5_000))}}
    text = (line(GOOD) + b"\n") * 3_000 + (line(many) + b"\n") * 400
    assert answer(written(tmp_path, text), capsys) == (0, {"rejected": [], "accepted": 3_400, "warnings": []})


def test_a_line_without_end_is_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A value of 40 MB is one rejection and is never in memory; its neighbours are judged."""
    path = tmp_path / "long"
    with path.open("wb") as file:
        file.write(line(GOOD) + b'\n{"a":"')
        for _ in range(40):
            file.write(b"x" * 1_000_000)
        file.write(b'"}\n' + line(GOOD) + b"\n")
    answer(written(tmp_path, line(GOOD)), capsys)  # imports are not the file's
    tracemalloc.start()
    exit_code, said = answer(str(path), capsys)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (exit_code, said["accepted"], said["rejected"][0]["line"]) == (1, 2, 2)
    assert "at most 4194304 are taken in one request" in said["rejected"][0]["errors"][0]["message"]
    assert peak_bytes < 16_000_000


def test_a_type_that_is_not_enforced_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a gateway would store all the same is accepted, and said."""
    monkeypatch.setattr(modes, "MODES", {"payment": "observe"})
    file = written(tmp_path, line(BAD))
    exit_code, said = answer(file, capsys)
    assert (exit_code, said["accepted"], said["rejected"]) == (0, 1, [])
    assert said["warnings"][0]["errors"][0]["field"] == "properties.outcome"
    assert run(["validate", file]) == 0
    assert capsys.readouterr().err.endswith("(accepted all the same, and counted nowhere)\n")


@pytest.mark.parametrize("content", [b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"])
def test_what_cannot_be_read_is_two(content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is not there or is compressed is wrong usage, in one line."""
    file = written(tmp_path, content)
    assert run(["validate", file]) == 2
    assert capsys.readouterr().err == f"telemetry: {file} is compressed; unpack it first\n"
    assert run(["validate", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err == f"telemetry: cannot read {tmp_path / 'none'}: No such file or directory\n"
    assert run(["validate", str(tmp_path)]) == 2
