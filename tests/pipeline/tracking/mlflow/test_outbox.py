"""Calls beside the work: none blocks it, each is made until it succeeds, and the end waits a bounded time."""

import threading
import time

import pytest

from pipeline.tracking.mlflow import outbox
from pipeline.tracking.mlflow.outbox import Outbox


class RefusedError(Exception):
    """No repetition mends it."""


def an_outbox() -> Outbox:
    return Outbox(
        "server", is_final=lambda error: isinstance(error, RefusedError), explain=lambda error: str(error)
    )


def test_calls_are_made_in_order_and_putting_one_never_waits() -> None:
    made: list[int] = []
    gate = threading.Event()
    box = an_outbox()
    box.put("first", lambda: (gate.wait(10), made.append(0))[1])
    began = time.monotonic()
    for number in range(1, 200):
        box.put(f"call {number}", lambda number=number: made.append(number))
    assert time.monotonic() - began < 1
    assert made == []
    gate.set()
    assert box.close() == []
    assert made == list(range(200))


def test_one_call_of_a_label_waits_at_a_time() -> None:
    made: list[int] = []
    gate = threading.Event()
    box = an_outbox()
    box.put("first", lambda: gate.wait(10))
    for number in range(1000):
        box.put("numbers", lambda number=number: made.append(number))
    gate.set()
    assert box.close() == []
    assert made == [0]


def test_a_call_is_repeated_until_the_server_is_back(capsys: pytest.CaptureFixture[str]) -> None:
    failures, made = [OSError("gone"), OSError("gone")], []

    def call() -> None:
        if failures:
            raise failures.pop()
        made.append("numbers")

    box = an_outbox()
    box.put("numbers", call)
    box.put("status", lambda: made.append("status"))
    deadline = time.monotonic() + 20
    while len(made) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert made == ["numbers", "status"]
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "tracking: continuing without server: gone"
    assert said[1].startswith("tracking: server is back")
    assert len(said) == 2
    assert box.close() == []


def test_a_refused_call_is_dropped_and_the_others_are_made(capsys: pytest.CaptureFixture[str]) -> None:
    made = []

    def refused() -> None:
        raise RefusedError("the run was deleted")

    box = an_outbox()
    box.put("numbers", refused)
    box.put("status", lambda: made.append("status"))
    assert box.close() == []
    assert made == ["status"]
    assert capsys.readouterr().err == "tracking: server refuses numbers: the run was deleted\n"


def test_the_end_makes_one_more_attempt_and_names_what_is_missing() -> None:
    attempts = []

    def fail() -> None:
        attempts.append(time.monotonic())
        raise OSError("gone")

    box = an_outbox()
    box.put("numbers", fail)
    box.put("the model", lambda: None)
    began = time.monotonic()
    assert box.close() == ["numbers", "the model"]
    assert time.monotonic() - began < 5
    assert len(attempts) in (1, 2)
    box.put("late", lambda: attempts.append(0))
    time.sleep(0.1)
    assert 0 not in attempts


def test_a_call_that_never_returns_does_not_keep_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "STALL_SECONDS", 0.3)
    gate = threading.Event()
    box = an_outbox()
    box.put("numbers", lambda: gate.wait(30))
    began = time.monotonic()
    assert box.close() == ["numbers"]
    assert time.monotonic() - began < 5
    gate.set()


def test_calls_take_a_small_share_of_the_time_while_work_goes_on() -> None:
    box, made = an_outbox(), []

    def call() -> None:
        made.append(time.monotonic())
        time.sleep(0.05)

    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        box.put("numbers", call)
        time.sleep(0.002)
    assert 1 <= len(made) <= 3
    assert box.close() == []
