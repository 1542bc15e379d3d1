from __future__ import annotations

import json
import re

import pytest

from alerting.timeline import RuleTimes, rule_times, timeline_of
from alerting.timeline_text import as_document, as_markdown, as_text, duration
from schemas.alert import Context, ErrorClass, Suspect
from tests.unit.alerting.story import Story, at, whole_story


def test_the_times_of_an_incident_are_from_its_opening() -> None:
    """Detected 5 s after it began; acknowledged 3 min, resolved 12 min after its page was due."""
    story = whole_story()
    durations = timeline_of(story.history, story.key).durations
    assert durations.detected_after_ms == 5_000
    assert durations.acknowledged_after_ms == 180_000
    assert durations.resolved_after_ms == 720_000


def test_what_has_not_happened_has_no_time() -> None:
    """Open and unacknowledged; taken back, the first acknowledgement still is when somebody came."""
    story = Story()
    story.alert("firing", 1)
    durations = timeline_of(story.history, story.key).durations
    assert (durations.acknowledged_after_ms, durations.resolved_after_ms) == (None, None)
    story.event("opened", 1)
    story.event("acked", 61, actor="alice", command_id="1")
    story.event("unacked", 70, actor="alice", command_id="2")
    story.event("acked", 90, actor="bob", command_id="3")
    story.alert("firing", 100)
    durations = timeline_of(story.history, story.key).durations
    assert (durations.acknowledged_after_ms, durations.resolved_after_ms) == (60_000, None)


def test_means_are_over_the_incidents_of_the_rule() -> None:
    """MTTA of those that were acknowledged, MTTR of those that are over; other rules and what was found too late are left out."""
    story = whole_story()
    second = Story("two", history=story.history)
    second.alert("firing", 0)
    second.event("acked", 60, actor="bob", command_id="c-2")
    third = Story("three", history=story.history)
    third.alert("firing", 0)
    third.alert("resolved", 1_200)
    late = Story("late", history=story.history)
    late.alert("retro_fired", 0)
    late.alert("retro_cleared", 1)
    other = Story("other", rule="Infrastructure", history=story.history)
    other.alert("firing", 0)
    other.alert("resolved", 2)
    assert rule_times(story.history, story.rule) == RuleTimes(3, 2, 2, (180_000 + 60_000) // 2, (720_000 + 1_200_000) // 2)
    assert rule_times(story.history, "nothing") == RuleTimes(0, 0, 0, None, None)


def test_the_timeline_has_everything_in_order() -> None:
    """Transitions, who was to be told and when, what came of each notification, and who acted; an intent only while nothing came of it."""
    story = whole_story()
    story.delivery("pagerduty", "intended", 5.2)
    Story("two", history=story.history).alert("firing", 6)
    entries = timeline_of(story.history, story.key).entries
    assert [((entry.at - at(0)).total_seconds(), entry.kind, entry.what) for entry in entries] == [
        (5, "alert", "firing"),
        (5, "escalation", "opened"),
        (5, "escalation", "step_due"),
        (5.2, "delivery", "trigger intended"),
        (5.5, "delivery", "trigger retrying"),
        (7, "delivery", "trigger delivered"),
        (185, "alert", "acknowledged"),
        (185, "escalation", "acked"),
        (725, "alert", "resolved"),
        (725, "escalation", "resolved"),
    ]
    texts = [entry.text for entry in entries]
    assert texts[1] == "escalation opened: slack-critical at once; ceo at 2026-11-23T10:05:05.000Z"
    assert texts[2] == "step 0 is due: slack-critical is to be told (because of step_due)"
    assert texts[4] == "slack-critical: trigger retrying (HTTP 429, attempt 1, Slack asks to wait)"
    assert texts[5] == "slack-critical: trigger delivered (HTTP 200, attempt 2)"
    assert texts[7] == "acknowledged by alice"


def test_what_its_group_was_told_is_part_of_the_story() -> None:
    """A member is told of in the message of another one; deliveries of other groups are not shown."""
    lead = Story("lead", group="lead")
    lead.alert("firing", 0)
    lead.event("opened", 0)
    lead.event("step_due", 30, step=0, target="slack-ops", due_at=at(0))
    lead.delivery("slack-ops", "failed_over", 31, failover="email-team", reason="refused for good")
    member = Story("member", history=lead.history, group="lead")
    member.alert("firing", 10)
    member.event("opened", 10)
    member.event("step_due", 30, step=0, target="slack-ops", due_at=at(10), notify=False)
    stranger = Story("stranger", history=lead.history, group="stranger")
    stranger.alert("firing", 10)
    stranger.delivery("slack-ops", "delivered", 12)
    texts = [entry.text for entry in timeline_of(lead.history, member.key).entries]
    assert texts[-2:] == [
        "step 0 is due: slack-ops is to be told, in the message of its group (because of step_due)",
        "slack-ops: trigger, of the group failed over (refused for good, with email-team)",
    ]
    assert len(texts) == 4


def test_text_tells_the_whole_story() -> None:
    """What it is, how long things took, the evidence and what was found, what happened, and the means of the rule."""
    story = whole_story()
    context = Context(
        error_classes=(ErrorClass(error_type="timeout", count=7), ErrorClass(error_type="", count=1)),
        suspects=(
            Suspect(kind="release", value="1.4.3", errors=7, total=9, lift=12.34),
            Suspect(kind="flag", value="f=B", errors=1, total=2, lift=None),
        ),
        trace_ids=("4bf92f35",),
        note="no deployment is known",
    )
    story.alert("resolved", 726, numerator=12.0, denominator=100.0, value=0.12, threshold=0.05, unit="ratio", context=context)
    text = as_text(timeline_of(story.history, story.key))
    for words in (
        "Menu Generation Critical: resolved, critical",
        "told            slack-critical",
        "acknowledged    by alice",
        "2026-11-23T10:00:05.000Z, 5.0 s after it began",
        "to acknowledge  3 min",
        "(12 / 100), threshold",
        "timeout (7), unnamed (1)",
        "release 1.4.3: 7 of 9 fail, 12.3 times as often as the rest",
        "flag f=B: 1 of 2 fail, nothing else fails",
        "4bf92f35",
        "no deployment is known",
        "2026-11-23 10:03:05.000  acknowledged by alice",
        "Menu Generation Critical, 1 incident in 90 days: MTTA 3 min (1 acknowledged), MTTR 12 min 1 s (1 resolved)",
    ):
        assert words in text, words


def test_json_is_the_same_for_programs() -> None:
    """Times in ms, the incident as the list has it, each entry with time, kind and words."""
    story = whole_story()
    found = json.loads(json.dumps(as_document(timeline_of(story.history, story.key))))
    assert (found["incident"]["incident_key"], found["incident"]["acked_by"]) == (story.key, "alice")
    assert (found["opened_at"], found["acknowledged_after_ms"], found["resolved_after_ms"]) == (
        "2026-11-23T10:00:05.000Z",
        180_000,
        720_000,
    )
    assert found["timeline"][0] == {
        "at": "2026-11-23T10:00:05.000Z",
        "kind": "alert",
        "what": "firing",
        "text": "fires: because of firing",
    }
    assert found["rule"] == {
        "name": "Menu Generation Critical",
        "incidents": 1,
        "acknowledged": 1,
        "resolved": 1,
        "mtta_ms": 180_000,
        "mttr_ms": 720_000,
    }


def test_markdown_is_a_report_in_which_text_stays_text() -> None:
    """Tables hold whatever events say; marks, tags and line ends in it are shown and do nothing."""
    story = Story(rule="A | <b>*x*</b>\n# y")
    story.alert("firing", 0, reason="`a|b` [l](https://x.test) &lt;", sql="SELECT 1\n  FROM t", summary="# not a heading")
    lines = as_markdown(timeline_of(story.history, story.key)).splitlines()
    assert lines[0] == r"# A \| \<b\>\*x\*\</b\> # y"
    assert lines[2] == r"\# not a heading"
    assert r"| 2026-11-23 10:00:00.000 | fires: \`a\|b\` \[l\](https://x.test) \&lt; |" in lines
    rows = [line for line in lines if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {3}
    assert [line for line in lines if line.startswith("    ")] == ["    SELECT 1", "      FROM t"]


def test_a_terminal_is_told_nothing_but_text() -> None:
    """Control characters from anywhere become spaces; the lines stay lines."""
    story = Story(rule="a\x1b[31m")
    story.alert("firing", 0, summary="x\ny\u202ez", reason="\x07")
    text = as_text(timeline_of(story.history, story.key))
    assert all(line.isprintable() for line in text.split("\n"))
    assert "x y z" in text


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (0, "0.0 s"),
        (9_940, "9.9 s"),
        (59_400, "59 s"),
        (180_000, "3 min"),
        (252_000, "4 min 12 s"),
        (3_600_000, "1 h"),
        (3_605_000, "1 h"),
        (5_400_000, "1 h 30 min"),
        (180_000_000, "2 d 2 h"),
    ],
)
def test_durations_are_read_at_a_glance(ms: int, words: str) -> None:
    """The two largest units."""
    assert duration(ms) == words
