"""Versions of packages, and the commit of the code."""

import re
import subprocess
from importlib import metadata

import numpy as np

from probing_datasets.foundation import provenance as module
from probing_datasets.foundation.provenance import PACKAGES, git_commit, provenance


def test_versions():
    versions = provenance()
    assert {"python", "git_commit", *PACKAGES} == set(versions)
    assert versions["numpy"] == np.__version__


def test_a_package_that_is_not_installed(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert provenance.__wrapped__()["numpy"] is None


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", *identity, "-C", str(folder), *arguments], check=True, capture_output=True)


def test_commit_and_its_changes(tmp_path, monkeypatch):
    file = tmp_path / "a" / "b" / "c.py"
    file.parent.mkdir(parents=True)
    file.write_text("")
    monkeypatch.setattr(module, "__file__", str(file))
    assert git_commit() is None  # no repository
    git(tmp_path, "init")
    assert git_commit() is None  # no commit yet
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-m", "first")
    clean = git_commit()
    assert re.fullmatch("[0-9a-f]{40}", clean or "")
    (tmp_path / "untracked").write_text("")
    assert git_commit() == clean
    file.write_text("changed")
    assert git_commit() == f"{clean}+"
