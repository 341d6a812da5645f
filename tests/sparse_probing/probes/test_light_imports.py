"""What an import of the probes loads: the package nothing heavy, the estimators no PyTorch."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("sparse_probing.probes", ("numpy", "scipy", "torch")),
        ("sparse_probing.probes.inputs.validation", ("scipy", "torch")),
        ("sparse_probing.probes.bases", ("scipy", "torch")),
        ("sparse_probing.probes.estimators", ("torch", "datasets", "transformers")),
    ],
)
def test_heavy_libraries_are_not_imported(module, absent):
    code = f"import sys, {module}; print(*(name for name in {absent!r} if name in sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
