"""Progress is told in plain lines where there is no terminal."""

from tasks import progress
from tasks.progress import Counter, track


def test_a_plain_line_says_how_much_is_done_how_fast_and_how_long_it_takes():
    counter = Counter("sample", 200, "completions")
    counter.started, counter.done = 100.0, 50
    # 50 in 10 s is 5 a second; the other 150 take 30 s.
    assert counter.describe(now=110.0) == "50/200 completions, 5.0/s, 30 s left"


def test_lines_come_now_and_then_and_not_for_every_row(monkeypatch, capsys):
    clock = iter(float(second) for second in range(100))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    assert list(track(range(40), "align", 40, "pairs")) == list(range(40))
    lines = capsys.readouterr().err.splitlines()
    # A row a second and a line at most every 15 s: after 15 and after 30 rows.
    assert [line.split(",")[0] for line in lines] == ["  align: 15/40 pairs", "  align: 30/40 pairs"]
