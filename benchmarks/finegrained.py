"""What does the fine-grained method cost a training step? ``python -m benchmarks.finegrained``.

For every model, at the true shapes and batch sizes of CH-SIMS and MOSEI, three networks learn from one made-up batch in
turn: the original, its -fg form with a plain loop over the groups, and its -fg form as it is (all groups at once). A
step is what the model's recipe does with a batch: forward pass, loss, backward pass, optimiser. The table gives medians
over the steps, and of the ratios to the original's step of the same turn.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.arguments import positive
from harness import models
from harness.data import Split
from harness.data.batching import Batch, Batches
from harness.data.inputs import InputChoice
from harness.errors import HarnessError
from harness.models import text
from harness.models.finegrained import set_batched
from harness.plan import load_datasets, make_plan
from harness.spec import EncoderChoice, RunSpec, Suite
from harness.training.recipes import Recipe, make_recipe

__all__ = ["Row", "as_table", "main", "measure"]

SIDES = ("original", "loop", "batched")
ENCODERS: Mapping[str, dict[str, int | float]] = {
    "stub": {"num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64},
    "small": {"num_hidden_layers": 2, "hidden_size": 128, "num_attention_heads": 2, "intermediate_size": 512},
    "base": {},
}
SEED = 1111


@dataclass(frozen=True)
class Row:
    """One model on one data set: seconds a step by side, in order of measurement."""

    model: str
    dataset: str
    batch_size: int
    encoder: str
    seconds: Mapping[str, tuple[float, ...]]

    def median(self, side: str) -> float:
        """Seconds of a step."""
        return statistics.median(self.seconds[side])

    def ratio(self, side: str) -> float:
        """A step relative to the original's of the same turn, so that a machine's slow moments cancel out."""
        turns = zip(self.seconds[side], self.seconds["original"], strict=True)
        return statistics.median(own / original for own, original in turns)


def specs_for(dataset: str | Mapping[str, Any], model: str, encoder: str) -> tuple[RunSpec, RunSpec] | None:
    """Return the original's and -fg's run, regression where the model does it; None if the data set has no such run."""
    entry = models.entry(model)
    # Of several summed batches one takes the optimiser's step: without a sum, every timed step does the same.
    sums = any("update_epochs" in (entry.defaults(column) or {}) for column in ("mosei", "sims"))
    suite = Suite(
        name="steps",
        datasets=(dataset if isinstance(dataset, str) else dict(dataset),),
        models=(model,),
        tasks=entry.tasks[:1],
        variants=("original", "fg"),
        seeds=(SEED,),
        hyper={model: {"update_epochs": 1}} if sums else {},
        text_encoder={"*": EncoderChoice(random=ENCODERS[encoder])},
    )
    try:
        plan = make_plan(suite, load_datasets(suite, Path()), lambda _dataset, _setting: "0" * 64)
    except HarnessError:
        return None
    original, fine = plan.runs
    return original, fine


def made_up(spec: RunSpec) -> Batches:
    """One batch of noise in the shapes that a run reads; lengths are between a fifth of the longest and all of it."""
    random = np.random.default_rng(SEED)
    size, shapes = int(spec.hyper["batch_size"]), spec.data.shapes

    def lengths(modality: str) -> NDArray[np.int64]:
        longest = shapes.lengths[modality]  # type: ignore[index]
        drawn = random.integers(max(1, longest // 5), longest + 1, size)
        drawn[0] = longest
        return drawn

    arrays: dict[str, NDArray[Any]] = {}
    for modality in ("audio", "vision"):
        shape = (size, shapes.lengths[modality], shapes.widths[modality])
        arrays[modality] = random.standard_normal(shape, dtype=np.float32)
        arrays[f"{modality}_mean"] = arrays[modality].mean(axis=1, keepdims=True)
        arrays[f"{modality}_lengths"] = lengths(modality)
    steps = shapes.lengths["text"]
    arrays["text"] = random.standard_normal((size, steps, shapes.widths["text"]), dtype=np.float32)
    mask = np.arange(steps) < lengths("text")[:, None]
    arrays["text_bert"] = np.stack([mask * random.integers(1, 1000, mask.shape), mask, 0 * mask], 1).astype(np.float32)
    labels: dict[str, NDArray[Any]] = {}
    for suffix in ("", "_T", "_A", "_V"):
        labels[f"regression{suffix}"] = random.uniform(-1, 1, size).astype(np.float32)
        labels[f"classification{suffix}"] = random.integers(0, 3, size)
    ids = tuple(str(i) for i in range(size))
    return Batches(
        Split("train", ids, ids, arrays, labels), InputChoice.from_hyper(spec.hyper), task=spec.task, batch_size=size
    )


def ready(spec: RunSpec, batches: Batches, *, batched: bool) -> Recipe:
    """Build a run's model and recipe as a run does, in its first epoch."""
    models.seed_everything(spec.seed)
    encoder: nn.Module | None = text.load(spec.text_encoder, None) if spec.text_encoder else None
    model = models.build(spec, encoder=encoder)
    set_batched(model, batched)
    recipe = make_recipe(models.entry(spec.model).recipe, model, spec.hyper, spec.task)
    recipe.prepare(batches)
    recipe.start_epoch(1)
    model.train()
    return recipe


def measure(dataset: str | Mapping[str, Any], model: str, encoder: str, steps: int) -> Row | None:
    """Time `steps` steps of each side in turn, after one for warming up; None where there is no such run."""
    pair = specs_for(dataset, model, encoder)
    if pair is None:
        return None
    original, fine = pair
    batches = made_up(original)
    recipes = {
        "original": ready(original, batches, batched=True),
        "loop": ready(fine, batches, batched=False),
        "batched": ready(fine, batches, batched=True),
    }
    batch = next(batches.in_order())
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    for turn in range(steps + 1):
        for shift in range(len(SIDES)):
            side = SIDES[(turn + shift) % len(SIDES)]
            spent = _step(recipes[side], batch)
            if turn:
                seconds[side].append(spent)
    name = dataset if isinstance(dataset, str) else str(dataset.get("base"))
    return Row(
        model,
        name,
        batches.batch_size,
        encoder if original.text_encoder else "",
        {side: tuple(values) for side, values in seconds.items()},
    )


def _step(recipe: Recipe, batch: Batch) -> float:
    begun = time.perf_counter()
    recipe.train_batch(batch)
    return time.perf_counter() - begun


def as_table(rows: Sequence[Row]) -> str:
    """Return a Markdown table of milliseconds and ratios."""
    lines = [
        "| model | data set | batch | encoder | original ms | loop ms | batched ms | loop / orig. | batched / orig. |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        times = " | ".join(f"{1000 * row.median(side):.1f}" for side in SIDES)
        ratios = " | ".join(f"{row.ratio(side):.2f}" for side in SIDES[1:])
        lines.append(f"| {row.model} | {row.dataset} | {row.batch_size} | {row.encoder} | {times} | {ratios} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for and print the table."""
    asked = _parser().parse_args(arguments)
    torch.set_num_threads(asked.threads)
    rows = []
    for dataset in asked.datasets:
        for model in asked.models:
            row = measure(dataset, model, asked.encoder, asked.steps)
            if row is not None:
                rows.append(row)
                print(f"{model} on {dataset}: {row.ratio('batched'):.2f}", file=sys.stderr, flush=True)
    print(as_table(rows))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.finegrained", description="What a -fg step costs.")
    parser.add_argument("--models", nargs="+", choices=models.names(), default=models.names())
    parser.add_argument("--datasets", nargs="+", default=("sims", "mosei"), help="shipped definitions' names, or files")
    parser.add_argument("--steps", type=positive, default=5, help="timed steps of each side")
    parser.add_argument("--threads", type=positive, default=1)
    parser.add_argument(
        "--encoder",
        choices=ENCODERS,
        default="small",
        help="random text encoder of the models that have one; 'base' is what users train, and takes seconds a step",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
