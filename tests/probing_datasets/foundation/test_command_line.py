import pytest

from probing_datasets.foundation import errors
from probing_datasets.foundation.command_line import run_command

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]


def raising(error: BaseException):
    def command():
        raise error

    return command


def test_success():
    assert run_command(lambda: 7) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_errors_that_a_user_can_mend(kind, capsys):
    assert issubclass(kind, errors.SparseProbingError)
    assert run_command(raising(kind("The disk is full. Free some space."))) == 1
    assert capsys.readouterr() == ("", "error: The disk is full. Free some space.\n")


def test_errors_of_the_file_system(capsys):
    assert run_command(raising(OSError(28, "No space left on device", "/data/part"))) == 1
    assert capsys.readouterr().err == (
        "error: [Errno 28] No space left on device: '/data/part'. Finished work is kept; "
        "mend this and run the same command again.\n"
    )


def test_interruption(capsys):
    assert run_command(raising(KeyboardInterrupt())) == 130
    assert "finished work is kept" in capsys.readouterr().err


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: 1 / 0)


def test_exit_of_the_parser_passes_through():
    with pytest.raises(SystemExit):
        run_command(raising(SystemExit(2)))
