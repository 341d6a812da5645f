"""Records of submissions, and the files that their jobs leave."""

from dataclasses import replace

import pytest

from probing_datasets.foundation.files.sealed_json import unseal, write_sealed
from sparse_probing.runs.locks import locked
from sparse_probing.runs.submissions import (
    LOGS,
    RECORD,
    alive_lock,
    is_alive,
    job_files,
    mark_ended,
    new_submission,
    read_submissions,
    record_submission,
    submission_folder,
)


def test_submissions_are_read_in_the_order_in_which_they_were_made(tmp_path):
    submissions = [new_submission("probe", "slurm", 1, [["key"]]) for _ in range(20)]
    for submission in reversed(submissions):
        record_submission(tmp_path, submission)
    assert read_submissions(tmp_path) == submissions


@pytest.mark.parametrize("text", ["", "null", "{}", "[" * 100_000, None])
def test_of_a_damaged_record_the_name_of_the_jobs_is_kept(tmp_path, caplog, text):
    for stage, cluster in (("probe", "slurm"), ("probe", "local"), ("harvest", "slurm")):
        submission = new_submission(stage, cluster, 1, [["key"]])
        record_submission(tmp_path, submission)
        place = submission_folder(tmp_path, submission)
        (place / LOGS).mkdir()
        if cluster == "local":
            alive_lock(tmp_path, submission).touch()
        if text is None:
            (place / RECORD).unlink()
        else:
            (place / RECORD).write_text(text)
        (read,) = (each for each in read_submissions(tmp_path) if each.id == submission.id)
        assert (read.is_damaged, read.stage, read.cluster, read.keys) == (True, stage, cluster, [])
        assert f"{place / RECORD} is " in caplog.text


def test_no_changed_bit_of_a_record_is_accepted(tmp_path):
    submission = new_submission("probe", "slurm", 1, [["key"]])
    record_submission(tmp_path, submission)
    path = submission_folder(tmp_path, submission) / RECORD
    content = path.read_bytes()
    for position in range(0, len(content), 5):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        path.write_bytes(changed)
        (read,) = read_submissions(tmp_path)
        assert read.is_damaged


@pytest.mark.parametrize("change", [{"n_jobs": 10**12}, {"n_jobs": -1}, {"cluster": "cloud"}, {"id": "other"}])
def test_a_sealed_record_that_no_submission_has_is_damaged(tmp_path, change):
    submission = new_submission("probe", "slurm", 1, None)
    record_submission(tmp_path, submission)
    path = submission_folder(tmp_path, submission) / RECORD
    write_sealed(path, unseal(path.read_bytes()) | change)
    (read,) = read_submissions(tmp_path)
    assert read.is_damaged


def test_other_folders_are_not_submissions(tmp_path):
    for name in ("notes", "probe-1,probe-2", "..."):
        (tmp_path / "submissions" / name / LOGS).mkdir(parents=True)
    assert read_submissions(tmp_path) == []


def test_a_submission_is_alive_while_its_process_holds_the_lock(tmp_path):
    submission = new_submission("probe", "local", 1, [["key"]])
    assert not is_alive(tmp_path, submission)
    with locked(alive_lock(tmp_path, submission)):
        assert is_alive(tmp_path, submission)
    assert not is_alive(tmp_path, submission)


def test_files_of_jobs_by_their_index_in_the_array(tmp_path):
    array = replace(new_submission("probe", "slurm", 12), job_id="7")
    single = replace(new_submission("probe", "slurm", 1), job_id="8")
    for submission, jobs in ((array, ("7_1", "7_11")), (single, ("8",))):
        logs = submission_folder(tmp_path, submission) / LOGS
        logs.mkdir(parents=True)
        for job in jobs:
            (logs / f"{job}_0_log.out").touch()
            (logs / f"{job}_0_result.pkl").touch()
        mark_ended(logs, jobs[-1])
    names = {entry: path.name for entry, path in job_files(tmp_path, array, "log.out").items()}
    assert names == {1: "7_1_0_log.out", 11: "7_11_0_log.out"}
    assert list(job_files(tmp_path, array, "ended")) == [11]
    assert list(job_files(tmp_path, single, "log.out")) == list(job_files(tmp_path, single, "ended")) == [0]
    assert (array.job_of(11), single.job_of(0)) == ("7_11", "8")


def test_a_submission_whose_jobs_left_nothing(tmp_path):
    assert job_files(tmp_path, new_submission("probe", "slurm", 1), "log.out") == {}
