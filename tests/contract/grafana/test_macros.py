import pytest

from tests.contract.grafana.macros import TimeRange, expand

# The range of the plugin's own tests: 2014-11-12T11:45:26.371Z to 2015-11-12T11:45:26.371Z.
YEAR = TimeRange(1415792726371, 1447328726371)


@pytest.mark.parametrize(
    ("sql", "expanded"),
    [
        ("$__timeFilter(col)", "col >= toDateTime(1415792726) AND col <= toDateTime(1447328726)"),
        ("$__timeFilter(cast(col as timestamp))",
         "cast(col as timestamp) >= toDateTime(1415792726) AND cast(col as timestamp) <= toDateTime(1447328726)"),
        ("$__timeFilter_ms(col)", "col >= fromUnixTimestamp64Milli(1415792726371) AND col <= fromUnixTimestamp64Milli(1447328726371)"),
        ("least(x, toDateTime64($__toTime, 3, 'UTC'))", "least(x, toDateTime64(toDateTime(1447328726), 3, 'UTC'))"),
        ("a = ${window} AND $__timeFilter(b)", "a = 300 AND b >= toDateTime(1415792726) AND b <= toDateTime(1447328726)"),
    ],
)  # fmt: skip
def test_expands_as_the_plugin_does(sql: str, expanded: str) -> None:
    """The expansions are those of the plugin's macros_test.go."""
    assert expand(sql, YEAR, {"window": "300"}) == expanded


@pytest.mark.parametrize("sql", ["$__timeFiltre(a)", "$__timeFilter(a, b)", "$__timeFilter", "${widnow}", "$__timeFilter(a"])
def test_does_not_let_a_mistake_through(sql: str) -> None:
    """A misspelt macro or variable and a missing bracket are errors here as they would be on the server."""
    with pytest.raises(ValueError, match=r"not used|no variable|not closed"):
        expand(sql, YEAR, {"window": "60"})
