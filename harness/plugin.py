"""What a plug-in imports: the parts of a model's entry, the recipe to derive a trainer from, and a check of the whole.

    from harness.plugin import Blueprint, ModelEntry, Recipe, Site, Taps, check_model

``harness new model NAME`` writes a file that uses them, with comments.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from harness import models
from harness.data import Features, load_definition, locate, open_features
from harness.errors import InputError
from harness.models.entry import Blueprint, Hyper, ModelEntry, Site, Taps
from harness.plan import make_plan
from harness.spec import DatasetSpec, RunSpec, Shapes, Suite, Task
from harness.training.loop import evaluate
from harness.training.recipes import Recipe
from harness.training.run import Observation, Prepared, prepare

__all__ = ["Blueprint", "Hyper", "ModelEntry", "Recipe", "Shapes", "Site", "Taps", "Task", "check_model"]

_SAMPLES = {"train": 24, "valid": 8, "test": 7}
_LENGTHS = {"text": 6, "audio": 9, "vision": 7}
_EPOCHS = 2


def check_model(path: Path, like: str = "sims") -> list[str]:
    """Check that the models of a plug-in work in every task and variant, on a small synthetic set.

    Each is built, trained for two epochs, evaluated twice, and built, trained and resumed again: predictions have the
    right shape and are finite, a gradient reaches every parameter that the optimiser has, evaluation has no memory, a
    resumed run goes on as one that never stopped, and learned features are there.

    Parameters
    ----------
    path : Path
        The plug-in: a file or a folder.
    like : str
        A data set whose widths, groups and hyper-parameters are taken.

    Returns
    -------
    list of str
        What was checked, a line for each task and variant.

    Raises
    ------
    InputError
        If something does not work; it says what, and in which task and variant.
    """
    plugin = models.add_plugin(path)
    names = [name for name in models.names() if models.plugin_of(name) == plugin]
    checked = []
    with tempfile.TemporaryDirectory() as folder:
        definition = load_definition(
            {
                "name": f"synthetic-check-{like}",
                "synthetic": {"like": like, "samples": _SAMPLES, "lengths": _LENGTHS, "seed": 1},
            }
        )
        setting = next(iter(definition.settings))
        file = locate(definition, setting, None, Path(folder))
        features = open_features(file, definition, setting, Path(folder))
        for spec in _specs(names, definition, features):
            where = f"{path.name}: {spec.label}"
            try:
                _check(spec, features)
            except InputError as error:
                raise InputError(error.what, where=where, hint=error.hint) from error
            except Exception as error:
                what = f"{type(error).__name__}: {error}"
                raise InputError(what, where=where, hint="the traceback above shows where in the model") from error
            checked.append(f"{spec.label}: built, trained, evaluated, resumed")
    return checked


def _specs(names: list[str], definition: DatasetSpec, features: Features) -> Iterator[RunSpec]:
    for name in names:
        suite = Suite.model_validate(
            {
                "name": "check",
                "datasets": [definition.model_dump(mode="json")],
                "tasks": list(models.entry(name).tasks),
                "models": [name],
                "seeds": [1],
                "max_epochs": 50,
                "device": "cpu",
                "hyper": {"*": {"batch_size": 8, "early_stop": 50}},
            }
        )
        yield from make_plan(suite, [definition], lambda _dataset, _setting: features.sha256).runs


def _check(spec: RunSpec, features: Features) -> None:
    original = prepare(spec.model_copy(update={"variant": "original", "finegrained": None}), features.folder, "cpu")
    for site in models.entry(spec.model).sites.values():
        _has_part(original, site.path)
    straight = prepare(spec, features.folder, "cpu")
    _has_outputs(straight, 1 if spec.task == "regression" else 3)
    reached = reached_in_training(straight, _EPOCHS)
    trained = {id(p) for group in straight.recipe.optimizer.param_groups for p in group["params"]}
    for name, parameter in straight.model.named_parameters():
        if parameter.requires_grad and id(parameter) in trained and name not in reached:
            raise InputError(f"no gradient reaches the parameter {name}", hint="use it in forward, or leave it out")
    seen = [_observed(straight), _observed(straight)]
    for name, array in seen[0].items():
        if not torch.isfinite(array).all():
            raise InputError(f"{name} is not finite after {_EPOCHS} epochs", hint="lower the learning rate")
        if not torch.equal(array, seen[1][name]):
            raise InputError(
                f"evaluating twice gives two answers in {name}", hint="forward keeps something, or draws in eval mode"
            )
    for name in ("text", "audio", "vision", "fusion"):
        if name not in seen[0]:
            raise InputError(f"the taps read no {name} features", hint="return them from Taps.read")
    _resumes(spec, features, straight)


def _has_outputs(run: Prepared, width: int) -> None:
    """Look before the loss does, which would spread a wrong shape out over the labels."""
    batch = next(iter(run.batches["test"].in_order()))
    run.model.eval()
    with torch.no_grad():
        outputs = run.recipe.forward(batch)
    if "M" not in outputs:
        raise InputError("the model returns no prediction M", hint="forward returns a mapping, M is the prediction")
    found, wanted = tuple(outputs["M"].shape), (len(batch.label), width)
    if found != wanted:
        what = f"the prediction M of {wanted[0]} utterances has shape {found}, not {wanted}"
        raise InputError(what, hint="its width is Blueprint.outputs")


def _has_part(run: Prepared, path: str) -> None:
    try:
        run.model.get_submodule(path)
    except AttributeError as error:
        raise InputError(
            f"the model has no part {path}", hint="Site.path is the dotted name of the extractor"
        ) from error


def reached_in_training(run: Prepared, epochs: int) -> set[str]:
    """Train for some epochs and return the names of the parameters that a gradient reached."""
    reached: set[str] = set()
    learn = run.recipe.train_batch

    def watched(batch: Any) -> float:
        loss = learn(batch)
        for name, parameter in run.model.named_parameters():
            if name not in reached and parameter.grad is not None and bool(parameter.grad.any()):
                reached.add(name)
        return loss

    run.recipe.train_batch = watched  # type: ignore[method-assign]
    for _ in range(epochs):
        run.trainer.one_epoch()
    return reached


def _observed(run: Prepared) -> dict[str, torch.Tensor]:
    seen = Observation(run.model, models.entry(run.spec.model).taps)
    evaluate(run.recipe, run.batches["test"].in_order(), seen)
    seen.close()
    return {"M": torch.as_tensor(seen.column("pred")), **{k: torch.as_tensor(v) for k, v in seen.features().items()}}


def _resumes(spec: RunSpec, features: Features, straight: Prepared) -> None:
    stopped = prepare(spec, features.folder, "cpu")
    stopped.trainer.one_epoch()
    file = io.BytesIO()
    torch.save(stopped.trainer.state_dict(), file)  # before the next run is prepared, which seeds the generators
    file.seek(0)
    fresh = prepare(spec, features.folder, "cpu")
    fresh.trainer.load_state_dict(torch.load(file, weights_only=True))
    fresh.trainer.one_epoch()
    for name, value in fresh.model.state_dict().items():
        if not torch.equal(value, straight.model.state_dict()[name]):
            raise InputError(
                f"a run that was stopped after one epoch and resumed differs in {name}",
                hint="put everything that an epoch leaves behind into the recipe's state_dict, and draw from torch's "
                "generators alone",
            )
