"""How Ray is asked to be quiet, and what is said where it cannot be used."""

from __future__ import annotations

import os
import signal
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import InputError
from harness.executors.ray_cluster import Node, connected, nodes


class FakeRay(SimpleNamespace):
    """Stands for the module `ray`: notes what it is asked, and the environment that it is asked in."""

    def __init__(self, fault: BaseException | None = None, *, busy: bool = False) -> None:
        super().__init__(calls=[], fault=fault, busy=busy, environment={})

    def is_initialized(self) -> bool:
        return bool(self.busy)

    def init(self, **arguments: Any) -> None:
        self.calls.append(arguments)
        self.environment = dict(os.environ)
        signal.signal(signal.SIGTERM, lambda *_: None)  # as Ray does
        if self.fault is not None:
            raise self.fault

    def shutdown(self) -> None:
        self.calls.append("shutdown")


def use(monkeypatch: pytest.MonkeyPatch, fake: FakeRay) -> FakeRay:
    monkeypatch.setitem(sys.modules, "ray", fake)
    for name in [name for name in os.environ if name.startswith("RAY_")]:
        monkeypatch.delenv(name)
    return fake


def test_a_cluster_of_our_own_is_private_and_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = use(monkeypatch, FakeRay())
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    environment, handler = dict(os.environ), signal.getsignal(signal.SIGTERM)
    with connected(None) as ray:
        assert ray is fake
        folder = fake.calls[0]["_temp_dir"]
        assert os.path.isdir(folder)  # noqa: PTH112 - a string, as Ray wants it
    assert fake.calls[0]["address"] == "local"
    assert fake.calls[0]["log_to_driver"] is False
    assert fake.calls[-1] == "shutdown"
    assert not os.path.exists(folder)  # noqa: PTH110
    assert fake.environment["RAY_AUTH_MODE"] == "token"
    assert fake.environment["RAY_USAGE_STATS_ENABLED"] == "1", "what the user has set counts"
    assert dict(os.environ) == environment
    assert signal.getsignal(signal.SIGTERM) is handler


def test_an_existing_cluster_is_joined_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = use(monkeypatch, FakeRay())
    with connected("auto"):
        pass
    assert fake.calls == [{"address": "auto", "configure_logging": False, "log_to_driver": False}, "shutdown"]
    assert "RAY_AUTH_TOKEN" not in fake.environment


def test_sigterm_while_ray_starts_is_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = use(monkeypatch, FakeRay(SystemExit(15)))
    with pytest.raises(KeyboardInterrupt), connected(None):
        pass
    assert fake.calls[-1] == "shutdown"


@pytest.mark.parametrize(("address", "said"), [(None, "cannot be started: no"), ("auto", "cannot be reached: no")])
def test_what_ray_raises_is_told(monkeypatch: pytest.MonkeyPatch, address: str | None, said: str) -> None:
    fake = use(monkeypatch, FakeRay(ConnectionError("no")))
    with pytest.raises(InputError, match=said), connected(address):
        pass
    assert fake.calls[-1] == "shutdown"


def test_a_connection_of_somebody_else_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = use(monkeypatch, FakeRay(busy=True))
    with pytest.raises(InputError, match="connected to Ray already"), connected(None):
        pass
    assert fake.calls == []


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match="Ray cannot be imported") as caught, connected(None):
        pass
    assert "msa-harness[ray]" in caught.value.hint


def test_ray_client_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    for address in ("auto", "ray://head:10001"):
        with pytest.raises(InputError, match="proxy of Ray Client"), connected(address):
            pass


@pytest.mark.parametrize("address", ["127.0.0.1:1", "head", "head:port"])
def test_nobody_answers(address: str) -> None:
    with pytest.raises(InputError, match="nobody answers"), connected(address):
        pass


def test_dead_nodes_do_not_count() -> None:
    def row(name: str, *, alive: bool) -> dict[str, Any]:
        return {"NodeID": name, "NodeManagerHostname": name, "Resources": {"CPU": 2.0}, "Alive": alive}

    fake = SimpleNamespace(nodes=lambda: [row("a", alive=True), row("b", alive=False)])
    assert nodes(fake) == [Node("a", "a", {"CPU": 2.0})]


def test_a_node_fits_what_it_has() -> None:
    node = Node("a", "a", {"CPU": 2.0, "memory": 100.0})
    assert node.fits({"CPU": 2, "memory": 100})
    assert not node.fits({"CPU": 3})
    assert not node.fits({"CPU": 1, "GPU": 0.5})
