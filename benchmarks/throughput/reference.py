"""MMSA's side: its own loader, models and trainers, driven run by run as its command drives them.

`MMSA_run` itself needs a GPU (it sets the CUDA device in any case), so its parts are called: seed, loader, model,
trainer, the best weights read back, test, garbage collection, and the second of sleep that ends every run. Three things
differ from what its users have: no worker processes in the loader, results are not written to its CSV file, and each
process has its own checkpoint file, because two runs of a model side by side would overwrite each other's.
"""

from __future__ import annotations

import gc
import importlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.throughput.runs import Run
from harness.spec import RunSpec

__all__ = ["IMPORTS", "make_ready", "run_once"]

IMPORTS = ("torch", "MMSA")
_SLEEP = 1.0


class _Watched:
    """A loader that counts its passes and remembers the ids of the latest one."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self.passes = 0
        self.ids: list[str] = []

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Any]:
        self.passes += 1
        self.ids = []
        for batch in self._loader:
            self.ids += [str(name) for name in batch["id"]]
            yield batch


def make_ready() -> None:
    """Import what drives MMSA here: no cost of MMSA's own, so it is not timed."""
    importlib.import_module("harness.models.mmsa")


def run_once(spec: RunSpec, file: Path, checkpoint: Path) -> Run:
    """Train and test one original model by MMSA's own code; called in a process that is ready."""
    import torch
    from MMSA.data_loader import MMDataLoader
    from MMSA.models import AMIO
    from MMSA.trains import ATIO
    from MMSA.utils import setup_seed

    torch.set_num_threads(spec.threads)
    started = time.perf_counter()
    setup_seed(spec.seed)
    args = _arguments(spec, file, checkpoint)
    loaders = MMDataLoader(args, 0)
    loaders |= {split: _Watched(loaders[split]) for split in ("valid", "test")}
    model = AMIO(args).to(args["device"])
    trainer = ATIO().getTrain(args)
    before = time.perf_counter()
    trainer.do_train(model, loaders)
    training = time.perf_counter() - before
    model.load_state_dict(torch.load(checkpoint))
    seen: list[torch.Tensor] = []
    model.register_forward_hook(lambda _model, _inputs, outputs: seen.append(outputs["M"]))
    trainer.do_test(model, loaders["test"], mode="TEST")
    predictions = dict(zip(loaders["test"].ids, torch.cat(seen)[:, 0].tolist(), strict=True))
    epochs = loaders["valid"].passes
    del model, trainer, loaders
    gc.collect()
    time.sleep(_SLEEP)
    return Run(spec.label, epochs, time.perf_counter() - started, training, _SLEEP, predictions)


def _arguments(spec: RunSpec, file: Path, checkpoint: Path) -> Any:
    """Return what `get_config_regression` and `MMSA_run` assemble, with the run's hyper-parameters."""
    from harness.models.mmsa import arguments
    from harness.models.registry import blueprint_of

    key = spec.model.lower().replace("-", "_")
    if key == "mult":
        _mend_mult()
    args = arguments(key, blueprint_of(spec))
    args.update(featurePath=str(file), model_save_path=str(checkpoint), KeyEval="Loss", cur_seed=1)
    args.update(custom_feature=None, feature_T=None, feature_A=None, feature_V=None)
    return args


def _mend_mult() -> None:
    """Let MulT's trainer pass ``verbose`` to a schedule of a torch that has dropped it."""
    from torch.optim.lr_scheduler import ReduceLROnPlateau

    # By its full name: the package gives the class of the same name in its place.
    trainer: Any = importlib.import_module("MMSA.trains.singleTask.MULT")

    class Schedule(ReduceLROnPlateau):
        def __init__(self, *args: Any, verbose: bool = False, **options: Any) -> None:
            del verbose
            super().__init__(*args, **options)

    trainer.ReduceLROnPlateau = Schedule
