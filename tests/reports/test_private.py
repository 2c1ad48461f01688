"""What a page may say of a machine: texts built from pieces whose shortened form is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.reports.private import without_paths

PART = st.text(st.sampled_from("abcXYZ019._-+@é中"), min_size=1, max_size=8).filter(lambda part: part[0] not in ".-")
BLANK_PART = st.builds("{} ({})".format, PART, PART)
FOLDER = st.lists(PART, min_size=1, max_size=5)
KEPT = st.sampled_from(
    [
        *("4/5", "2/5/10", "2026/01/02", "01/02/2026", "n/a", "/tmp", "/", "//", "'/tmp'", "a / b / c"),
        *("harness/reports/pages.py", "../a/b.py", "./a/b", "~/a/b", "…/torch/nn/linear.py", "{root}/a/b", "</b>"),
        *("https://pytorch.org/docs/stable", "http://[::1]:80/a/b", "s3://bucket/a/b", "1e-3", "loss 0.5,", "中文"),
    ]
)


def absolute(part: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, str]]:
    """Paths, and what is left of them."""
    last = st.tuples(FOLDER, part)
    return st.one_of(
        last.map(lambda path: (f"/{'/'.join(path[0])}/{path[1]}", f"…/{path[1]}")),
        last.map(lambda path: (f"/opt//{'//'.join(path[0])}/{path[1]}/", f"…/{path[1]}")),
        last.map(lambda path: ("C:\\" + "\\".join([*path[0], path[1]]), f"…/{path[1]}")),
        last.map(lambda path: ("d:/" + "/".join([*path[0], path[1]]), f"…/{path[1]}")),
        last.map(
            lambda path: (
                f"/venv/lib/site-packages/{'/'.join(path[0])}/{path[1]}",
                f"…/{'/'.join(path[0])}/{path[1]}",
            )
        ),
        PART.map(lambda name: (f"/home/{name}", "…")),
    )


def quoted(pair: tuple[str, str]) -> tuple[str, str]:
    return f'File "{pair[0]}"', f'File "{pair[1]}"'


PIECES = st.lists(
    st.one_of(KEPT.map(lambda text: (text, text)), absolute(PART), absolute(st.one_of(PART, BLANK_PART)).map(quoted))
)
BETWEEN = st.sampled_from([" ", "\n", ", ", "; ", " = ", " (", ") ", " [", "] ", "\t"])


@given(PIECES, BETWEEN)
def test_absolute_paths_are_cut_and_everything_else_stays(pieces: list[tuple[str, str]], between: str) -> None:
    text, expected = (between.join(side) for side in (zip(*pieces, strict=True) if pieces else ("", "")))
    assert without_paths(text) == expected
    assert without_paths(expected) == expected, "twice is once"


@given(PIECES, BETWEEN)
def test_no_folder_of_a_machine_survives(pieces: list[tuple[str, str]], between: str) -> None:
    secret = f"/home/alice/{'/'.join(['work', 'x.py'])}"
    shown = without_paths(between.join([*(text for text, _ in pieces), secret]))
    assert "alice" not in shown
    assert "work" not in shown


@given(st.text(st.characters(exclude_characters="/\\")))
def test_a_text_without_a_slash_is_left_alone(text: str) -> None:
    assert without_paths(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('  File "/home/alice/My Data/run.py", line 3, in <module>', '  File "…/run.py", line 3, in <module>'),
        (
            "/home/alice/.venv/lib/python3.11/site-packages/torch/nn/modules/linear.py:125: UserWarning: 4/5",
            "…/torch/nn/modules/linear.py:125: UserWarning: 4/5",
        ),
        ("/usr/lib/python3/dist-packages/numpy/core.py", "…/numpy/core.py"),
        ("[Errno 2] No such file or directory: '/mnt/a/mosi.pkl'", "[Errno 2] No such file or directory: '…/mosi.pkl'"),
        ("PYTHONPATH=/home/alice/a:/srv/b/c", "PYTHONPATH=…/a:…/c"),
        (r"OSError('C:\\Users\\alice\\mosi.pkl')", "OSError('…/mosi.pkl')"),
        (r"C:\Users\alice is full", "… is full"),
        (r"b'first\n/home/alice/second'", r"b'first\n…/second'"),
        ("file:///home/alice/mosi.pkl", "file:…/mosi.pkl"),
        ("what /home/alice keeps", "what … keeps"),
        ("/home/alice/x: see https://a.org/b/c", "…/x: see https://a.org/b/c"),
    ],
)
def test_texts_as_failed_runs_leave_them(text: str, expected: str) -> None:
    assert without_paths(text) == expected
