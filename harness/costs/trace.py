"""What one sample costs by operations: fvcore on a torch trace, with handlers for what it leaves at zero.

fvcore counts one multiply-accumulate as one, and normalisations by an estimate of their own (five for each element in
layer norm, two in batch norm); its total is kept as it is. What it does not count is listed by name.
"""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from harness.costs.handlers import HANDLERS

__all__ = ["Traced", "composite_attention", "trace"]

_ARITHMETIC = frozenset({"aten::clamp", "aten::clamp_", "aten::max", "aten::relu", "aten::relu_"})
"""Operations that fvcore passes over in silence, but that compute something."""


@dataclass(frozen=True)
class Traced:
    """Costs of one forward pass by operations.

    Attributes
    ----------
    by_operation : mapping
        Multiply-accumulates by operation, as fvcore names them.
    uncounted : mapping
        How often each operation occurs that adds nothing to the count: elementwise ones, look-ups, copies.
    dropped : tuple of str
        Modules with parameters that ran, but whose result nothing ever uses, so that the trace does not hold them. (A
        trace drops single calls as well: Graph-MFN-fg recombines its last cell states for nothing, and that call does
        not count.)
    never_used : tuple of str
        Modules with parameters that took no part in the pass.
    unregistered : int
        Parameters that took part and that the model does not own up to: modules that it keeps in a plain dictionary.
        Their operations count.
    """

    by_operation: Mapping[str, int]
    uncounted: Mapping[str, int]
    dropped: tuple[str, ...]
    never_used: tuple[str, ...]
    unregistered: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the pass."""
        return sum(self.by_operation.values())


def trace(model: nn.Module, call: Callable[..., Any], inputs: tuple[torch.Tensor, ...]) -> Traced:
    """Trace `call` on `inputs`, which calls `model` (in eval mode), and count.

    What `call` returns is what counts as used: a tensor, or a tuple or mapping whose tensors all count.
    """
    scene = _Scene(model, call).eval()
    with torch.no_grad(), composite_attention():
        with _Touched(model) as touched:
            call(*inputs)
        strays = touched.parameters - set(model.parameters())
        analysis = _analysis()(scene, inputs)
        analysis.set_op_handle(**HANDLERS)
        analysis.unsupported_ops_warnings(enabled=False).uncalled_modules_warnings(enabled=False)
        with _frozen(strays):
            by_operation = analysis.by_operator()
    traced = {name.removeprefix("model.") for name in analysis.by_module()} - {
        name.removeprefix("model.") for name in analysis.uncalled_modules()
    }
    own = {n: list(m.parameters(recurse=False)) for n, m in model.named_modules()}
    holders = {name: parameters for name, parameters in own.items() if parameters}
    used = {name for name, parameters in holders.items() if not touched.parameters.isdisjoint(parameters)}
    return Traced(
        by_operation={name: int(count) for name, count in sorted(by_operation.items())},
        uncounted=dict(sorted(analysis.unsupported_ops().items())),
        dropped=tuple(name for name in holders if name in touched.called and name not in traced),
        never_used=tuple(name or type(model).__name__ for name in holders if name not in used),
        unregistered=sum(p.numel() for p in strays),
    )


@contextlib.contextmanager
def composite_attention() -> Iterator[None]:
    """Let torch's attention layers run in parts: in eval mode they are one operation that no counter sees into."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextlib.contextmanager
def _frozen(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Hold parameters that a model does not own as constants: a trace takes nothing else from outside."""
    wanted = [p for p in parameters if p.requires_grad]
    for parameter in wanted:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)


class _Scene(nn.Module):
    """A call as a module of its own, which is what can be traced; returns all tensors of the result."""

    def __init__(self, model: nn.Module, call: Callable[..., Any]) -> None:
        super().__init__()
        self.model = model
        self._call = functools.partial(call)  # a module here would be registered a second time

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        result = self._call(*inputs)
        if isinstance(result, torch.Tensor):
            return (result,)
        values = result.values() if isinstance(result, Mapping) else result
        return tuple(value for value in values if isinstance(value, torch.Tensor))


class _Touched(TorchFunctionMode):
    """While it is on, notes which modules are called and which parameters any torch function is given."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.called: set[str] = set()
        self.parameters: set[nn.Parameter] = set()
        self._handles = [
            module.register_forward_pre_hook(functools.partial(self._note, name))
            for name, module in model.named_modules()
        ]

    def _note(self, name: str, _module: nn.Module, _inputs: object) -> None:
        self.called.add(name)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        self._look(args)
        self._look((kwargs or {}).values())
        return func(*args, **(kwargs or {}))

    def _look(self, values: Iterable[Any]) -> None:
        for value in values:
            if isinstance(value, nn.Parameter):
                self.parameters.add(value)
            elif isinstance(value, (list, tuple)):
                self._look(value)

    def __exit__(self, *exception: Any) -> None:
        """Take the hooks off again."""
        for handle in self._handles:
            handle.remove()
        super().__exit__(*exception)  # type: ignore[no-untyped-call]


@functools.cache
def _analysis() -> Any:
    """Return fvcore's analysis, told apart what is arithmetic and what is not.

    fvcore is imported here and not above: its import scripts a function, which torch says is deprecated, and takes a
    second that only this command should pay.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch.jit.script` is deprecated", DeprecationWarning)
        from fvcore.nn import FlopCountAnalysis

    class Analysis(FlopCountAnalysis):  # type: ignore[misc]
        def _should_ignore_node(self, node: Any) -> bool:
            if node.kind() in _ARITHMETIC:
                return False
            return _is_bookkeeping(node) or bool(super()._should_ignore_node(node))

    return Analysis


def _is_bookkeeping(node: Any) -> bool:
    """Whether a node computes with sizes, which a trace holds as tensors of one whole number."""
    return all(
        out.isCompleteTensor() and not out.type().sizes() and not out.type().dtype().is_floating_point
        for out in node.outputs()
    )
