"""Names of folders, and JSON."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.store import RunStore, write_json
from tests.helpers import make_spec


@given(dataset=st.text(max_size=120), model=st.text(max_size=120))
def test_no_name_leaves_its_place(dataset: str, model: str) -> None:
    root = Path("root")
    spec = make_spec(dataset=dataset, model=model)
    parts = RunStore(root).folder(spec).relative_to(root).parts
    assert len(parts) == 3
    for part in parts:
        assert part.isascii()
        assert part == os.path.normpath(part)
        assert not part.startswith(".")
        assert len(part) < 120
    assert parts[2].endswith(spec.run_id)


@pytest.mark.parametrize("name", ["mosi-utterance", "Graph-MFN", "Self-MM", "a_b.c"])
def test_plain_names_stay_as_they_are(name: str) -> None:
    assert RunStore(Path("r")).folder(make_spec(model=name)).parent.name == name


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


def expected(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [expected(item) for item in value]
    if isinstance(value, dict):
        return {key: expected(item) for key, item in value.items()}
    return value


@given(value=JSON)
def test_json_comes_back_with_null_for_what_it_cannot_say(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "written.json"
    write_json(path, value)
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n")
    assert json.loads(text) == expected(value)


def test_json_of_numpy_paths_and_lone_surrogates(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    value = {
        "b": np.float32("nan"),
        "a": np.int64(3),
        "c": np.array([[1.0, np.inf]]),
        "d": Path("x") / "y",
        "e": (1, True),
        "f": "caf\udce9 中",
        3: np.bool_(True),
    }
    write_json(path, value)
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "3": True,
        "a": 3,
        "b": None,
        "c": [[1.0, None]],
        "d": "x/y",
        "e": [1, True],
        "f": "caf\udce9 中",
    }
    assert "中" in path.read_text(encoding="utf-8")
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})


def test_json_keys_are_sorted(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": {"d": 1, "c": 2}})
    assert (tmp_path / "a.json").read_text() == '{\n "a": {\n  "c": 2,\n  "d": 1\n },\n "b": 1\n}\n'
