from halley.cli.commands.ps import uptime


def test_uptime_is_one_figure():
    assert [uptime(given) for given in (None, 0.4, 59, 60, 7_300, 200_000)] == ["-", "0s", "59s", "1m", "2h", "2d"]
