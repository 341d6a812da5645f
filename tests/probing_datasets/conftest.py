"""Fixtures: the small tokenizers of three kinds, saved once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders.tokenizers import TOKENIZERS, save_tokenizers


@pytest.fixture(scope="session")
def tokenizer_dirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return save_tokenizers(tmp_path_factory.mktemp("tokenizers"))


@pytest.fixture(params=list(TOKENIZERS))
def tokenizer_dir(request: pytest.FixtureRequest, tokenizer_dirs: dict[str, Path]) -> Path:
    """Each of the three tokenizers in turn."""
    return tokenizer_dirs[request.param]
