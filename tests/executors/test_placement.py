"""Placement of runs on GPUs. No GPU takes part: devices are names here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.executors.placement import Need, Placement


def put(placement: Placement, run_id: str, need: Need) -> str | None:
    device = placement.where(need)
    if device is not None:
        placement.put(run_id, device, need)
    return device


def test_runs_spread_over_the_gpus_before_they_share_one() -> None:
    placement = Placement(["cuda:0", "cuda:1"])
    half = Need(share=0.5)
    assert [put(placement, str(i), half) for i in range(5)] == ["cuda:0", "cuda:1", "cuda:0", "cuda:1", None]
    placement.leave("1")
    assert put(placement, "5", half) == "cuda:1"


def test_a_whole_gpu_is_not_shared() -> None:
    placement = Placement(["cuda:0"])
    assert put(placement, "a", Need(share=1.0)) == "cuda:0"
    assert put(placement, "b", Need(share=0.1)) is None


def test_tenths_add_up_to_one_gpu() -> None:
    placement = Placement(["cuda:0"])
    assert [put(placement, str(i), Need(share=0.1)) for i in range(11)] == ["cuda:0"] * 10 + [None]


def test_a_run_with_a_bound_on_neighbours_waits_and_then_keeps_others_away() -> None:
    placement = Placement(["cuda:0"])
    quarter = Need(share=0.25)
    put(placement, "a", quarter)
    put(placement, "b", quarter)
    alone = Need(share=0.25, neighbours=0)
    assert placement.where(alone) is None
    one = Need(share=0.25, neighbours=1)
    assert placement.where(one) is None
    placement.leave("a")
    assert put(placement, "c", one) == "cuda:0"
    assert placement.beside("c") == 1
    assert placement.where(quarter) is None, "a third would be the bounded run's second neighbour"
    placement.leave("b")
    placement.leave("c")
    assert put(placement, "d", alone) == "cuda:0"
    assert placement.where(quarter) is None


def test_a_cpu_takes_any_number_and_counts_neighbours_too() -> None:
    placement = Placement(["any"])
    for number in range(9):
        assert put(placement, str(number), Need()) == "any"
    assert placement.beside("3") == 8


def test_main_memory_is_shared_and_a_run_that_asks_for_more_than_there_is_runs_alone() -> None:
    placement = Placement(["any"], memory_gib=8.0)
    assert put(placement, "a", Need(memory_gib=5.0)) == "any"
    assert placement.where(Need(memory_gib=4.0)) is None
    assert placement.where(Need(memory_gib=3.0)) == "any"
    placement.leave("a")
    assert placement.where(Need(memory_gib=100.0)) == "any"


def test_no_device_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="no device"):
        Placement([])


NEEDS = st.builds(Need, share=st.sampled_from([0.1, 0.25, 0.3, 0.5, 1.0]), neighbours=st.none() | st.integers(0, 3))


@given(devices=st.integers(1, 3), steps=st.lists(st.tuples(NEEDS, st.booleans()), max_size=40))
def test_no_gpu_is_ever_overfull_and_something_always_fits_on_an_empty_machine(
    devices: int, steps: list[tuple[Need, bool]]
) -> None:
    placement = Placement([f"cuda:{i}" for i in range(devices)])
    running: dict[str, tuple[str, Need]] = {}
    for number, (need, ends) in enumerate(steps):
        if ends and running:
            run_id = next(iter(running))
            placement.leave(run_id)
            del running[run_id]
        device = placement.where(need)
        if not running:
            assert device is not None
        if device is not None:
            placement.put(str(number), device, need)
            running[str(number)] = (device, need)
        for place in {where for where, _ in running.values()}:
            there = [one for where, one in running.values() if where == place]
            assert sum(one.share for one in there) <= 1.0 + 1e-6
            assert all(one.neighbours is None or one.neighbours >= len(there) - 1 for one in there)
