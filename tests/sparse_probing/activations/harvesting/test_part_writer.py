"""Writing parts in other threads: every part is written once, and errors reach the caller."""

import threading
import time

import pytest

from sparse_probing.activations.harvesting.part_writer import PartWriter


def test_every_part_is_written_once_with_the_content_of_its_buffers():
    written, allocated = {}, []

    def allocate():
        allocated.append([None])
        return allocated[-1]

    def write(part, buffers):
        time.sleep(0.002)
        assert part not in written
        written[part] = buffers[0]

    with PartWriter(allocate, write, n_threads=2) as writer:
        for part in range(20):
            buffers = writer.buffers()
            buffers[0] = f"content of {part}"
            writer.submit(part, buffers)
    assert written == {part: f"content of {part}" for part in range(20)}
    assert len(allocated) == 2


def test_a_slow_disk_makes_the_caller_wait():
    may_write, submitted = threading.Event(), []

    def compute():
        with PartWriter(lambda: [None], lambda part, buffers: may_write.wait()) as writer:
            for part in range(5):
                writer.submit(part, writer.buffers())
                submitted.append(part)

    caller = threading.Thread(target=compute)
    caller.start()
    caller.join(0.2)
    assert caller.is_alive()
    assert submitted == [0, 1]
    may_write.set()
    caller.join(10)
    assert submitted == [0, 1, 2, 3, 4]


def failing(part, buffers):
    if part == 1:
        raise OSError("no space")


def submit(parts, write, then=lambda writer: None):
    with PartWriter(lambda: [None], write) as writer:
        for part in parts:
            writer.submit(part, writer.buffers())
        then(writer)


@pytest.mark.parametrize("ask", [PartWriter.check, PartWriter.buffers])
def test_an_error_of_the_writer_is_raised_at_once(ask):
    def until_it_arrives(writer):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            ask(writer)
        pytest.fail("the error did not arrive")

    with pytest.raises(OSError, match="no space"):
        submit([0, 1], failing, until_it_arrives)


def test_an_error_of_the_last_part_is_raised_on_leaving():
    with pytest.raises(OSError, match="no space"):
        submit([1], failing)


def test_an_error_of_the_caller_waits_for_the_writer_and_is_not_hidden():
    written = []

    def write(part, buffers):
        time.sleep(0.05)
        written.append(part)
        raise OSError("no space")

    def interrupt(writer):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        submit([0], write, interrupt)
    assert written == [0]
