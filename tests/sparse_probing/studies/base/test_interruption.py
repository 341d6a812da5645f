"""Signals that are held back during a computation and delivered after it."""

import signal
import threading

import pytest

from sparse_probing.studies.base.interruption import SIGNALS, deliver, interrupted, signals_noted


@pytest.fixture(autouse=True)
def nothing_noted():
    yield
    with signals_noted():
        pass
    assert not interrupted()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_held_back_and_then_delivered_once(number):
    delivered = []
    ordinary_handler = signal.signal(number, lambda *arguments: delivered.append(arguments[0]))
    try:
        with signals_noted():
            signal.raise_signal(number)
            assert interrupted()
            assert not delivered
        assert interrupted()
        deliver()
        assert delivered == [number]
        assert not interrupted()
        deliver()
        assert delivered == [number]
    finally:
        signal.signal(number, ordinary_handler)


def test_a_second_ctrl_c_is_not_held_back():
    with signals_noted():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        deliver()


def test_handlers_are_put_back():
    before = [signal.getsignal(number) for number in SIGNALS]
    with signals_noted():
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_another_thread_does_not_change_the_handlers():
    before, seen = [signal.getsignal(number) for number in SIGNALS], []

    def look():
        with signals_noted():
            seen.extend(signal.getsignal(number) for number in SIGNALS)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == before
