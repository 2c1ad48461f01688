"""Models of others: files, folders and entry points, sound and broken."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from harness import models
from harness.errors import InputError
from harness.models import plugins, registry
from harness.plugin import check_model
from harness.scaffold import new_model
from tests.helpers import make_spec


@pytest.fixture(autouse=True)
def _only_built_in_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_FROM", {})


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    file, _ = new_model("Mine", tmp_path)
    return file


def changed(file: Path, old: str, new: str) -> Path:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    return file


def test_a_file_s_models_are_known_after_the_built_in_ones(mine: Path) -> None:
    before = models.names()
    plugin = models.add_plugin(mine)
    assert models.names() == (*before, "Mine")
    assert models.entry("Mine").tasks == ("regression", "classification")
    assert models.plugin_of("Mine") == plugin
    assert plugin.name == "mine.py"
    assert models.plugin_of("LMF") is None


def test_other_sources_are_another_plug_in_and_other_words_are_not(mine: Path) -> None:
    first = models.add_plugin(mine)
    changed(mine, "Reads each modality", "Takes in each modality")
    assert models.add_plugin(mine) == first
    changed(mine, '"hidden_dim": 32', '"hidden_dim": 33')
    second = models.add_plugin(mine)
    assert second.sha256 != first.sha256
    assert (models.entry("Mine").defaults("sims") or {})["hidden_dim"] == 33


def test_a_folder_is_one_plug_in_with_all_that_is_in_it(mine: Path, tmp_path: Path) -> None:
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "sizes.py").write_text("HIDDEN = 48\n", encoding="utf-8")
    changed(mine, '"hidden_dim": 32', '"hidden_dim": HIDDEN')
    changed(mine, "from harness.plugin", "from .sizes import HIDDEN\n\nfrom harness.plugin")
    mine.rename(folder / "__init__.py")
    first = models.add_plugin(folder)
    assert (models.entry("Mine").defaults("sims") or {})["hidden_dim"] == 48
    (folder / "sizes.py").write_text("HIDDEN = 50\n", encoding="utf-8")
    assert models.add_plugin(folder).sha256 != first.sha256


def test_a_run_s_id_tells_plug_ins_apart_and_built_in_models_keep_theirs(mine: Path) -> None:
    plain = make_spec()
    assert "plugin" in plain.model_dump()
    first = plain.model_copy(update={"plugin": models.add_plugin(mine)})
    renamed = plain.model_copy(update={"plugin": models.add_plugin(mine).model_copy(update={"name": "other.py"})})
    assert first.run_id == renamed.run_id != plain.run_id


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("import torch\n", "import torch\nimport nowhere_at_all\n", "cannot be imported: ModuleNotFoundError"),
        ("MODELS = [", "OTHERS = [", "no list MODELS"),
        ("MODELS = [", "MODELS = [7, ", "holds a int"),
        ('name="Mine"', 'name="LMF"', "that of a built-in model"),
        ('name="Mine"', 'name="a/b"', "needs a name of letters"),
        ('tasks=("regression", "classification")', 'tasks=("ranking",)', "which may be regression and classification"),
        ('    "vision": Site(', '    "seen": Site(', "where its extractor of vision sits"),
        ('"vision": "Linear"}', '"seen": "Linear"}', "what reads vision first"),
        ("class MineModel(", "class MineModel(((", "cannot be read"),
    ],
)
def test_what_is_wrong_with_a_plug_in_is_said(mine: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        models.add_plugin(changed(mine, old, new))
    assert words in caught.value.what
    assert str(mine) in caught.value.where
    assert caught.value.hint
    assert "Mine" not in models.names()


def test_places_that_are_no_plug_in(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("", encoding="utf-8")
    for name, words in (("gone.py", "is not there"), ("empty", "without __init__"), ("notes.txt", "a Python file")):
        with pytest.raises(InputError, match=words):
            models.add_plugin(tmp_path / name)


def test_two_plug_ins_may_not_share_a_name(mine: Path, tmp_path: Path) -> None:
    models.add_plugin(mine)
    other = tmp_path / "other.py"
    other.write_text(mine.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(InputError, match=r"that of the plug-in mine\.py"):
        models.add_plugin(other)


@pytest.fixture
def announcing(mine: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Let an installed package announce the model."""
    changed(mine, "MODELS = [", "ENTRY = None\nMODELS = [")
    mine.write_text(mine.read_text(encoding="utf-8") + "\nENTRY = MODELS[0]\n", encoding="utf-8")
    monkeypatch.syspath_prepend(mine.parent)
    plugins._announced.cache_clear()

    def announce(*values: str) -> None:
        points = [metadata.EntryPoint("Mine", value, plugins.ENTRY_POINTS) for value in values]

        def entry_points(*, group: str, name: str) -> list[metadata.EntryPoint]:
            return [point for point in points if (point.group, point.name) == (group, name)]

        monkeypatch.setattr(metadata, "entry_points", entry_points)

    yield announce
    plugins._announced.cache_clear()


def test_an_installed_package_announces_a_model(announcing: Any) -> None:
    announcing("mine:ENTRY")
    assert models.entry("Mine").name == "Mine"
    plugin = models.plugin_of("Mine")
    assert plugin is not None
    assert plugin.name == "mine:ENTRY"


def test_entry_points_that_say_something_else(announcing: Any) -> None:
    announcing("mine:MODELS")
    with pytest.raises(InputError, match="is no ModelEntry of that name"):
        models.entry("Mine")
    announcing("mine:ENTRY", "mine:MODELS")
    with pytest.raises(InputError, match="two installed packages announce"):
        models.entry("Mine")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("blueprint.outputs", "blueprint.outputs + 1", "the prediction M of 7 utterances has shape"),
        ('Site("audio"', 'Site("hearing"', "has no part hearing"),
        ('"fusion": fusion}', '"fused": fusion}', "KeyError: 'fusion'"),
        ('for key in ("text", "audio", "vision", "fusion")', 'for key in ("text", "audio", "vision")', "no fusion"),
        (
            "        self.head = nn.Linear",
            "        self.idle = nn.Linear(3, 3)\n        self.head = nn.Linear",
            "no gradient reaches the parameter idle",
        ),
        ("recipe=MineRecipe", 'recipe="plaim"', "there is no recipe 'plaim' (did you mean 'plain'?)"),
        ("recipe=MineRecipe", "recipe=lambda model, hyper, task: 7", "the recipe made a int"),
        ("fusion = self.fusion(", "fusion = torch.rand(1) * self.fusion(", "evaluating twice gives two answers"),
    ],
)
def test_the_check_finds_what_a_model_does_wrong(mine: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        check_model(changed(mine, old, new))
    assert words in caught.value.what
    assert "mine.py: Mine" in caught.value.where


def test_a_recipe_that_forgets_something_does_not_resume(mine: Path) -> None:
    forgets = '''"""How it is trained."""

    warmth = 0.0

    def start_epoch(self, epoch: int) -> None:
        """Keep something that no state holds."""
        self.warmth += 1.0

    def loss(self, outputs: Mapping[str, Any], batch: Any) -> torch.Tensor:
        """Use it."""
        return super().loss(outputs, batch) * self.warmth

    def unused('''
    text = mine.read_text(encoding="utf-8")
    start, end = text.index('"""How it is trained.'), text.index("    def loss(")
    mine.write_text(text[:start] + forgets + text[end + len("    def loss(") :], encoding="utf-8")
    with pytest.raises(InputError, match="stopped after one epoch and resumed differs"):
        check_model(mine)
