"""What the documents say about the package is so."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml

import harness
from harness.cli import run_command
from harness.data import shipped as shipped_datasets
from harness.spec import DatasetSpec, Suite
from harness.suites import shipped
from harness.yamlfile import validate

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ROOMS = (ROOT / "harness" / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[str]:
    lines = [line.split("#")[0].strip() for block in blocks("bash") for line in block.splitlines()]
    return [line for line in lines if line.startswith("harness ")]


def test_the_two_commands_are_single_lines() -> None:
    single = [block.strip() for block in blocks("bash") if "venv" in block]
    assert len(single) == 2
    assert all("\n" not in line and "-c constraints.txt" in line for line in single)
    assert single[0].endswith(".venv/bin/harness run --suite quick")
    assert single[1] in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", commands())
def test_commands_exist_with_these_options(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, *words = shlex.split(command)
    grouped = words[0] in ("clean", "data", "gate", "new") and not words[1].startswith("-")
    names = words[: 2 if grouped else 1]
    assert run_command([*names, "--help"]) == 0
    shown = re.sub(r"\s+", " ", capsys.readouterr().out)
    for option in (word for word in words if word.startswith("--")):
        assert option in shown, command


def test_suites_and_data_sets_that_are_named_exist() -> None:
    named = re.findall(r"--suite (\S+)", README)
    assert named
    assert {name.strip("`") for name in named if not name.endswith(".yaml")} <= set(shipped())
    assert set(shipped()) <= set(re.findall(r"`([a-z-]+)`", README))
    assert "mosi-utterance" in shipped_datasets()


def test_examples_are_valid() -> None:
    encoders, suite, dataset, gate = blocks("yaml")
    forms = [yaml.safe_load(line) for line in encoders.splitlines()]
    assert len(forms) == 3
    for form in forms:
        assert validate(Suite, {"name": "t", "datasets": "sims", "models": "ALMT", **form}, where="README").text_encoder
    suite, dataset = yaml.safe_load(suite), yaml.safe_load(dataset)
    assert validate(Suite, suite, where="README").name == "my-suite"
    assert validate(DatasetSpec, dataset, where="README").splits("fg") == ("audio",)
    assert validate(Suite, yaml.safe_load(gate), where="README").gate.floors == {"*": 0.01, "MAE": 0.02}


def test_the_table_of_rooms_is_the_package() -> None:
    listed = {room: int(floor) for floor, room in re.findall(r"^\| (\d+) \| `(\w+)` \|", ROOMS, flags=re.MULTILINE)}
    package = ROOT / "harness"
    there = {p.stem for p in package.glob("*.py")} | {p.parent.name for p in package.glob("*/__init__.py")}
    assert set(listed) == there - {"__init__"}
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = contract["contracts"][0]["layers"]
    floors = {room.strip(): len(layers) - i for i, layer in enumerate(layers) for room in layer.split("|")}
    assert listed == floors


def test_pins_satisfy_the_ranges() -> None:
    from packaging.requirements import Requirement

    pinned = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    )
    names = {name.casefold().replace("_", "-"): version for name, version in pinned.items()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)]
    for requirement in map(Requirement, asked):
        version = names[requirement.name.casefold().replace("_", "-")]
        assert requirement.specifier.contains(version), requirement


def test_version_is_one() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", harness.__version__)
