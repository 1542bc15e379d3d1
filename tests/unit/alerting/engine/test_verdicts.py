from __future__ import annotations

from tests.unit.alerting.stage import MENUS, Stage, decisions, new_engine


def test_a_late_look_at_an_old_window_is_no_change_of_verdict() -> None:
    """One menu of five minutes ago is too little for its own window; the rule's verdict is that of the newest window."""
    stage = Stage(new_engine(only=MENUS)).start()
    for pane in range(300, 360, 10):
        for source in stage.sources:
            source.menus(pane + 5, 80)
        stage.flush(pane + 9.9)
    assert [(verdict, previous) for verdict, previous, _ in decisions(stage.said)] == [("false", None)]
    for at in (361, 371, 381):
        for source in stage.sources:
            source.menus(at, 80)
        stage.sources[4].menus(50, 1)
        stage.flush(at + 1)
    assert len(decisions(stage.said)) == 1


def test_a_gate_that_closes_is_recorded_with_its_name() -> None:
    """A partition falls behind: the verdict becomes unknown, and the line says which partition."""
    stage = Stage(new_engine(only=MENUS)).start().healthy_minute()
    for pane in range(50, 90, 10):
        for source in stage.sources[:11]:
            source.menus(pane + 5, 80)
        stage.flush(pane + 9.9, only=range(11))
    assert [(verdict, previous) for verdict, previous, _ in decisions(stage.said)] == [("false", None), ("unknown", "false")]
    assert decisions(stage.said)[-1][2] == "partitions 11 are not in"
