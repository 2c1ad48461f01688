"""Whether a feature file fits a run; importing this costs no torch, so that it is found out before the first run."""

from __future__ import annotations

from harness import models
from harness.data.cache import Features
from harness.data.inputs import InputChoice, require
from harness.errors import InputError
from harness.spec import RunSpec

__all__ = ["check_features"]


def check_features(spec: RunSpec, features: Features) -> None:
    """Find out before training what would fail in it.

    Raises
    ------
    DataError
        If the file lacks something that the run reads, or holds what its text encoder cannot read.
    InputError
        If the batch size leaves a batch of one to a model that cannot take it, or the run would never learn.
    """
    entry = models.entry(spec.model)
    require(
        features,
        InputChoice.from_hyper(spec.hyper),
        spec.task,
        who=spec.model,
        lengths=entry.packs_by(spec.hyper) == "lengths",
        unimodal_labels=entry.unimodal_labels,
        encoder=spec.text_encoder,
    )
    _check_steps(spec, len(features.splits["train"]))
    reasons = {"train": entry.no_lone_sample}
    if not entry.lone_evaluation:
        reasons |= dict.fromkeys(("valid", "test"), "fails on a single utterance, as in MMSA")
    for split, reason in reasons.items():
        samples, batch = len(features.splits[split]), spec.hyper["batch_size"]
        if reason and samples % batch == 1:
            raise InputError(
                f"{spec.model} {reason}, and {samples} {split} utterances in batches of {batch} leave a last batch "
                "of one",
                where=f"hyper.{spec.model}.batch_size",
                hint="choose another batch size",
            )


def _check_steps(spec: RunSpec, samples: int) -> None:
    """Find runs whose optimiser would never move anything."""
    batches, summed = -(-samples // spec.hyper["batch_size"]), spec.hyper.get("update_epochs", 1)
    if batches < summed:
        raise InputError(
            f"{spec.model} would never step: it sums the gradients of {summed} batches, and an epoch has {batches}",
            where=f"hyper.{spec.model}.update_epochs",
            hint=f"set it to {batches} or less, or choose a smaller batch size",
        )
    if spec.max_epochs == 1 and spec.hyper.get("warm_up_epochs", 0) > 0:
        raise InputError(
            f"{spec.model} would learn nothing: the first epoch of its warm-up runs at rate 0, and there is no other",
            where="max_epochs",
            hint=f"train for longer, or set hyper.{spec.model}.warm_up_epochs to 0",
        )
