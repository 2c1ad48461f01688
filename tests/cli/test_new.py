"""``harness new``: templates that pass their own tests, and the README's worked example, run as it stands."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from harness.models import registry
from tests.cli.tools import Place, ask, refused

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def _only_built_in_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_FROM", {})


def own_test(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", path.name]
    return subprocess.run(command, capture_output=True, text=True, cwd=path.parent, timeout=120)


def test_a_model_passes_its_own_test_and_the_test_can_fail() -> None:
    assert ask("new", "model", "My-Model2", "--out", "mine").code == 0
    test = Path("mine/test_model_my_model2.py")
    done = own_test(test)
    assert done.returncode == 0, done.stdout
    file = Path("mine/my_model2.py")
    file.write_text(file.read_text(encoding="utf-8").replace("blueprint.outputs)", "7)"), encoding="utf-8")
    done = own_test(test)
    assert done.returncode == 1
    assert "the prediction M of 7 utterances" in done.stdout


def test_a_data_set_and_a_suite_pass_their_own_tests() -> None:
    assert ask("new", "dataset", "words", "--out", "mine").code == 0
    assert ask("new", "suite", "first", "--out", "mine", "--datasets", "mine/words.yaml").code == 0
    for name in ("dataset_words", "suite_first"):
        done = own_test(Path(f"mine/test_{name}.py"))
        assert done.returncode == 0, done.stdout
    suite = yaml.safe_load(Path("mine/first.yaml").read_text(encoding="utf-8"))
    assert suite["datasets"] == ["words.yaml"]
    assert "plugins" not in suite


def test_nothing_is_overwritten_and_names_are_checked() -> None:
    assert ask("new", "model", "Mine").code == 0
    before = Path("mine.py").read_text(encoding="utf-8")
    refused(ask("new", "model", "Mine"), "there already", "mine.py")
    assert Path("mine.py").read_text(encoding="utf-8") == before
    refused(ask("new", "model", "7up"), "cannot be a name")
    refused(ask("new", "model", "TFN"), "a model of the name 'TFN' ships", "another name")
    refused(ask("new", "model", "torch"), "stand in the way of the Python package torch", "another name")
    refused(ask("new", "model", "Random"), "the Python package random")
    refused(ask("new", "dataset", "mosei"), "a data set of the name 'mosei' ships")
    refused(ask("new", "suite", "paper"), "a suite of the name 'paper' ships")
    refused(ask("new", "suite", "s", "--plugins", "gone.py"), "the plug-in is not there", "gone.py")
    refused(ask("new", "suite", "s", "--plugins", "mine.py", "--models", "Mine,TFNN"), "'TFNN'", "did you mean 'TFN'?")
    assert not Path("s.yaml").exists()
    refused(ask("new", "dataset", "../x"), "cannot be a name")
    Path("file").write_text("", encoding="utf-8")
    refused(ask("new", "dataset", "x", "--out", "file/below"), "cannot write the file")


def worked_example() -> list[list[str]]:
    (block,) = [block for block in re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL) if "harness new" in block]
    lines = [line.split("#")[0].strip() for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("harness ")]


def test_the_worked_example_of_the_readme(place: Place) -> None:
    """With two seeds and two epochs in the place of the template's five and twenty."""
    folders = {"run": place.options, "baseline": (*place.options[:2], *place.options[4:])}
    folders["gate"] = folders["baseline"]
    made = worked_example()
    assert [words[0] for words in made] == ["new", "new", "new", "run", "baseline", "gate"]
    said = ""
    for words in made:
        if words[0] == "run":
            suite = Path(words[words.index("--suite") + 1])
            text = suite.read_text(encoding="utf-8").replace(
                "max_epochs: 20", "max_epochs: 2\nreport: {figures: false}"
            )
            suite.write_text(re.sub(r"seeds: \[.*?\]", "seeds: [1, 2]", text), encoding="utf-8")
        answer = ask(*words, *folders.get(words[0], ()))
        assert answer.code == 0, answer.err
        said += answer.err
    assert "16 done, 0 failed" in said
    assert "pass: 68 green" in said
    models = {record.spec.model for record in place.store.records()}
    assert models == {"MyFusion", "LF-DNN"}
    page = (place.reports / "my-suite" / "index.html").read_text(encoding="utf-8")
    assert "MyFusion-fg" in page
    assert "synthetic" in page


def test_a_plug_in_that_is_changed_asks_for_new_runs(place: Place) -> None:
    assert ask("new", "model", "Mine").code == 0
    assert ask("new", "suite", "mine", "--models", "Mine", "--plugins", "mine.py").code == 0
    asked = ("--suite", "mine.yaml", "--variants", "original", "--seeds", "1", "--runs-dir", place.runs)
    cache = ("--cache-dir", place.cache)
    assert ask("run", *asked, *cache, "--no-report", "--quiet").code == 0
    file = Path("mine.py")
    file.write_text(file.read_text(encoding="utf-8").replace('"dropout": 0.1', '"dropout": 0.2'), encoding="utf-8")
    answer = ask("status", *asked, *cache)
    assert "0 done, 0 failed, 1 missing" in answer.err
    file.unlink()
    refused(ask("status", *asked, *cache), "the plug-in is not there", "mine.py")
