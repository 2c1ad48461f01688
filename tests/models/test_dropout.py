"""Dropout masks drawn in blocks: torch's own bits and generator state, and torch itself where they cannot be had."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from harness.models import dropout
from harness.models.dropout import Dropout, drawn_in_blocks, use_block_draws

BLOCK = 1 << 16


@pytest.fixture
def blocks_drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the masks that are drawn in blocks."""
    sizes: list[int] = []

    def watched(mask: torch.Tensor, p: float, generator: torch.Generator | None = None) -> torch.Tensor:
        sizes.append(mask.numel())
        return drawn_in_blocks(mask, p, generator)

    monkeypatch.setattr(dropout, "drawn_in_blocks", watched)
    return sizes


def by_both(p: float, *shape: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Output, gradient and the generator's state after it, by this dropout and by torch's, from the same start."""
    given = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = []
    for layer in (Dropout(p), nn.Dropout(p)):
        torch.manual_seed(7)
        torch.rand(3)  # an odd number of draws: the generator stands in the middle of a pair
        leaf = given.clone().requires_grad_()
        output = layer(leaf)
        (output * given).sum().backward()
        assert leaf.grad is not None
        found.append([output.detach(), leaf.grad, torch.get_rng_state()])
    return found[0], found[1]


@pytest.mark.parametrize("p", [0.0, 1e-9, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1 / 3, 0.999, 1.0])
@pytest.mark.parametrize("shape", [(1,), (3, 1000), (1 << 14,), (BLOCK - 1,), (BLOCK,), (BLOCK + 1,), (3, 50021)])
def test_bits_gradients_and_generator_are_torchs(p: float, shape: tuple[int, ...]) -> None:
    ours, its = by_both(p, *shape)
    for found, expected in zip(ours, its, strict=True):
        assert torch.equal(found, expected)


def test_large_masks_are_drawn_in_blocks(blocks_drawn: list[int]) -> None:
    if not dropout._torch_draws_so(0.4):
        pytest.skip("torch draws masks in another way on this processor")
    blocks_drawn.clear()
    Dropout(0.4)(torch.ones(BLOCK))
    Dropout(0.4)(torch.ones(100))
    Dropout(0.4).eval()(torch.ones(BLOCK))
    Dropout(0.4)(torch.ones(BLOCK, dtype=torch.float64))
    Dropout(0.4)(torch.ones(1000, 100).T)
    assert blocks_drawn == [BLOCK], "small, double or transposed inputs and evaluation are torch's"


def test_where_torch_draws_in_another_way_it_draws_itself(
    monkeypatch: pytest.MonkeyPatch, blocks_drawn: list[int]
) -> None:
    def otherwise(self: torch.Tensor, p: float, *, generator: torch.Generator | None = None) -> torch.Tensor:
        return self.copy_(torch.rand(self.shape, generator=generator) < p)

    dropout._torch_draws_so.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "bernoulli_", otherwise)
        assert not dropout._torch_draws_so(0.4)
    blocks_drawn.clear()
    ours, its = by_both(0.4, BLOCK)
    dropout._torch_draws_so.cache_clear()
    assert blocks_drawn == []
    assert all(map(torch.equal, ours, its))


def test_every_plain_dropout_of_a_model_is_replaced_and_nothing_else() -> None:
    inner = nn.Sequential(nn.Dropout(0.5, inplace=True), nn.Dropout1d())
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.25).eval(), inner)
    before = list(model.state_dict())
    use_block_draws(model)
    replaced = [model.get_submodule(path) for path in ("1", "2.0")]
    assert all(isinstance(layer, Dropout) for layer in replaced)
    settings = [(layer.p, layer.inplace, layer.training) for layer in replaced if isinstance(layer, Dropout)]
    assert settings == [(0.25, False, False), (0.5, True, True)]
    assert type(model.get_submodule("2.1")) is nn.Dropout1d
    assert list(model.state_dict()) == before
