import shutil

import pytest

from sparse_probing.runs.tasks import result_cache as verdicts
from sparse_probing.runs.tasks.result_cache import VERDICTS, judge_results
from sparse_probing.runs.tasks.results import RECORD, ROWS, publish, task_folder


@pytest.fixture
def run_path(tmp_path):
    for key in ("a", "b"):
        publish(tmp_path, key, [], {"seconds": 1.5, "failed_features": {"x": "one class"}})
    return tmp_path


def intact(path):
    return {key: verdict.intact for key, verdict in judge_results(path, ["a", "b", "c"]).items()}


def test_a_result_is_judged_by_its_checksum(run_path):
    assert intact(run_path) == {"a": True, "b": True}
    verdict = judge_results(run_path, ["a"])["a"]
    assert (verdict.seconds, verdict.failed_features) == (1.5, {"x": "one class"})


@pytest.mark.parametrize("name", [ROWS, RECORD])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_damage_after_the_first_verdict_is_seen(run_path, name, damage):
    assert intact(run_path) == {"a": True, "b": True}
    path = task_folder(run_path, "b") / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 128
    path.unlink()
    if damage != "remove":
        path.write_bytes(content if damage == "flip" else content[:-5])
    assert intact(run_path) == {"a": True, "b": False}


def test_files_that_did_not_change_are_not_read_again(run_path, monkeypatch):
    before = judge_results(run_path, ["a", "b"])
    publish(run_path, "c", [], {"seconds": 2.5})
    read = []
    monkeypatch.setattr(verdicts, "read_record", lambda path, key: read.append(key))
    after = judge_results(run_path, ["a", "b", "c"])
    assert read == ["c"]
    assert {key: after[key] for key in before} == before


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": {"stamp": []}}'])
def test_kept_verdicts_that_cannot_be_read_are_made_anew(run_path, text):
    (run_path / VERDICTS).write_text(text)
    assert intact(run_path) == {"a": True, "b": True}


def test_a_result_that_is_gone_has_no_verdict(run_path):
    assert intact(run_path) == {"a": True, "b": True}
    shutil.rmtree(task_folder(run_path, "a"))
    assert intact(run_path) == {"b": True}
