"""MMSA's own loader and trainers, driven as the oracle of parity tests.

`MMSA_run` itself cannot run without a GPU, so its steps are done here in its order: seed, loader, model, trainer,
train, reload the best weights, test. Three repairs are made in memory: torch has dropped an argument that MulT's
trainer passes, the multi-task trainers print a variable before they set it, and the loader serves regression labels
for classification.
"""

from __future__ import annotations

import contextlib
import inspect
import pickle
import sys
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from harness.models.mmsa import arguments
from harness.models.registry import blueprint_of
from harness.spec import RunSpec

__all__ = ["KEYS", "Answer", "run_mmsa"]

KEYS = {
    "LF-DNN": "lf_dnn",
    "TFN": "tfn",
    "LMF": "lmf",
    "MFN": "mfn",
    "Graph-MFN": "graph_mfn",
    "MulT": "mult",
    "MISA": "misa",
    "MLF-DNN": "mlf_dnn",
    "MTFN": "mtfn",
    "MLMF": "mlmf",
    "Self-MM": "self_mm",
}
Answer = tuple[dict[str, Any], dict[str, NDArray[np.float32]], float]


@contextlib.contextmanager
def _class_labels(spec: RunSpec) -> Iterator[None]:
    """MMSA's loader serves regression labels whatever the task: for classification, give it the classes instead."""
    import MMSA.data_loader as loader

    if spec.task == "regression":
        yield
        return
    original = loader.pickle.load

    def load(file: Any) -> Any:
        data = original(file)
        for split in data.values():
            for suffix in ("", "_T", "_A", "_V"):
                if f"classification_labels{suffix}" in split:
                    classes = np.asarray(split[f"classification_labels{suffix}"]).astype(np.float32)
                    split[f"regression_labels{suffix}"] = classes
        return data

    class Pickle:
        pass

    Pickle.load = staticmethod(load)  # type: ignore[attr-defined]
    loader.pickle = Pickle
    try:
        yield
    finally:
        loader.pickle = pickle


def run_mmsa(spec: RunSpec, feature_file: Path, weights: Path, encoder: Path | None = None) -> Answer:
    """Train and test with MMSA's code on one thread; `encoder` is the folder of the text encoder and its tokenizer.

    Returns
    -------
    dict
        What MMSA's evaluation prints.
    dict
        Predictions by sample id: shape (1,) in regression, (3,) in classification.
    float
        The loss on the test set, rounded by MMSA to four digits.
    """
    import MMSA.data_loader as loader
    from MMSA.models import AMIO
    from MMSA.trains import ATIO
    from MMSA.utils import setup_seed

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    key = KEYS[spec.model]
    args = arguments(key, blueprint_of(spec))
    args.update(
        featurePath=str(feature_file),
        custom_feature=None,
        feature_T=None,
        feature_A=None,
        feature_V=None,
        model_save_path=str(weights),
        KeyEval="Loss",
        cur_seed=1,
        train_samples=len(_read(feature_file)["train"]["id"]),
    )
    if encoder is not None:
        args.pretrained = str(encoder)
    try:
        with _class_labels(spec), _plateau_without_verbose(), _multi_task_repaired(key), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MMSA's evaluation of untrained models divides by zero
            setup_seed(spec.seed)
            batches = loader.MMDataLoader(args, 0)
            model = AMIO(args)
            trainer = ATIO().getTrain(args)
            trainer.do_train(model, batches)
            model.load_state_dict(torch.load(weights))
            return _test(trainer, model, batches["test"])
    finally:
        torch.set_num_threads(threads)


def _read(path: Path) -> Any:
    with path.open("rb") as file:
        return pickle.load(file)


def _test(trainer: Any, model: Any, batches: Any) -> Answer:
    """MMSA's test pass, with what goes into the model watched: two of its trainers cannot return it themselves."""
    ids: list[str] = []
    predictions: list[NDArray[np.float32]] = []

    def watched() -> Iterator[Any]:
        for batch in batches:
            ids.extend(batch["id"])
            yield batch

    class Loader:
        def __iter__(self) -> Iterator[Any]:
            return watched()

        def __len__(self) -> int:
            return len(batches)

    handle = model.register_forward_hook(lambda _m, _i, out: predictions.append(out["M"].detach().numpy().copy()))
    printed = trainer.do_test(model, Loader(), mode="TEST")
    handle.remove()
    return printed, dict(zip(ids, np.concatenate(predictions), strict=True)), float(printed["Loss"])


@contextlib.contextmanager
def _plateau_without_verbose() -> Iterator[None]:
    import MMSA.trains  # noqa: F401 -- puts the module below into sys.modules

    module: Any = sys.modules["MMSA.trains.singleTask.MULT"]
    original = module.ReduceLROnPlateau
    module.ReduceLROnPlateau = lambda *args, verbose=None, **kwargs: original(*args, **kwargs)
    try:
        yield
    finally:
        module.ReduceLROnPlateau = original


@contextlib.contextmanager
def _multi_task_repaired(key: str) -> Iterator[None]:
    """The multi-task trainers log ``train_results`` before it is set: leave it out of that one line."""
    if key not in ("mlf_dnn", "mtfn", "mlmf"):
        yield
        return
    import MMSA.trains  # noqa: F401 -- puts the module below into sys.modules

    module: Any = sys.modules[f"MMSA.trains.multiTask.{key.upper()}"]
    trainer = getattr(module, key.upper())
    original = trainer.do_train
    source = textwrap.dedent(inspect.getsource(original))
    broken = " {dict_to_str(train_results)}"
    assert source.count(broken) == 1
    scope: dict[str, Any] = {}
    exec(compile(source.replace(broken, ""), module.__file__, "exec"), vars(module), scope)
    trainer.do_train = scope["do_train"]
    try:
        yield
    finally:
        trainer.do_train = original
