"""What differs between models while they train: loss, optimiser groups, schedule, accumulation, per-epoch state.

Each recipe does in one batch or at one epoch's end what the reference trainer of that model does there, in the same
order, so that an original run of an MMSA model ends with MMSA's own bits. The loop around it is one and the same for
all, see `harness.training.loop`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from harness.errors import InputError
from harness.spec import Task
from harness.training.recipes.base import Recipe
from harness.training.recipes.misa import MisaRecipe
from harness.training.recipes.multi_task import MlfDnnRecipe, MlmfRecipe, MtfnRecipe
from harness.training.recipes.scheduled import AlmtRecipe, TmtRecipe
from harness.training.recipes.self_supervised import SelfMmRecipe, TetfnRecipe
from harness.training.recipes.simple import LmfRecipe, MultRecipe, TfnRecipe
from harness.yamlfile import suggest

__all__ = ["RECIPES", "Recipe", "make_recipe"]

RECIPES: Mapping[str, type[Recipe]] = {
    "plain": Recipe,
    "tfn": TfnRecipe,
    "lmf": LmfRecipe,
    "mult": MultRecipe,
    "misa": MisaRecipe,
    "mlf_dnn": MlfDnnRecipe,
    "mtfn": MtfnRecipe,
    "mlmf": MlmfRecipe,
    "self_mm": SelfMmRecipe,
    "tetfn": TetfnRecipe,
    "almt": AlmtRecipe,
    "tmt": TmtRecipe,
}


def make_recipe(
    chosen: str | Callable[[nn.Module, Mapping[str, Any], Task], Any],
    model: nn.Module,
    hyper: Mapping[str, Any],
    task: Task,
) -> Recipe:
    """Build a recipe by the name that the registry gives, or by what a plug-in gives in its place.

    Raises
    ------
    InputError
        If there is no recipe of that name, or a plug-in makes something else.
    """
    if isinstance(chosen, str):
        if chosen not in RECIPES:
            raise InputError(
                f"there is no recipe '{chosen}'{suggest(chosen, list(RECIPES))}",
                where="recipe",
                hint=f"known: {', '.join(RECIPES)}; or a class derived from Recipe",
            )
        return RECIPES[chosen](model, hyper, task)
    made = chosen(model, hyper, task)
    if not isinstance(made, Recipe):
        raise InputError(
            f"the recipe made a {type(made).__name__}", where="recipe", hint="derive it from harness.plugin.Recipe"
        )
    return made
