import signal
import threading

import pytest

from sparse_probing.interruption import SIGNALS, deliver, interrupted, signals_noted


@pytest.fixture(autouse=True)
def nothing_noted():
    yield
    with signals_noted():
        pass
    assert not interrupted()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_held_back_and_then_delivered_once(number):
    came = []
    earlier = signal.signal(number, lambda *arguments: came.append(arguments[0]))
    try:
        with signals_noted():
            signal.raise_signal(number)
            assert interrupted()
            assert not came
        assert interrupted()
        deliver()
        assert came == [number]
        assert not interrupted()
        deliver()
        assert came == [number]
    finally:
        signal.signal(number, earlier)


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


def test_another_thread_leaves_signals_alone():
    before, seen = [signal.getsignal(number) for number in SIGNALS], []

    def look():
        with signals_noted():
            seen.extend(signal.getsignal(number) for number in SIGNALS)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == before
