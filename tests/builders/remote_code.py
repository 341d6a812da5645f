"""A model and a tokenizer whose classes are defined by Python code in their folder; the code leaves a trace."""

import json
import shutil
from pathlib import Path

CANARY_LINES = """
import os
open(os.environ["CANARY"], "a").write(__name__ + "\\n")
"""

CONFIGURATION = """
from transformers import GPTNeoXConfig

class CanaryConfig(GPTNeoXConfig):
    model_type = "made_by_code"
"""

MODEL = """
from transformers import GPTNeoXForCausalLM as Standard
from .configuration_canary import CanaryConfig

class GPTNeoXForCausalLM(Standard):
    config_class = CanaryConfig
"""

TOKENIZER = """
from transformers import PreTrainedTokenizerFast

class CanaryTokenizer(PreTrainedTokenizerFast):
    pass
"""

GENERATE = """
def generate(model, *args, **kwargs):
    return None
"""


def with_remote_code(
    model: Path, folder: Path, own_architecture: bool = True, own_tokenizer: bool = True, canary: bool = True
) -> Path:
    """Copy the folder of a model, and add Python code that defines its classes.

    Parameters
    ----------
    own_architecture : bool
        Whether only the code knows the type of the model; otherwise transformers knows it too.
    own_tokenizer : bool
        Whether the tokenizer is also defined by code.
    canary : bool
        Whether the code appends to the file that the environment variable CANARY names, as soon as it is run.
    """
    shutil.copytree(model, folder)
    first_lines = CANARY_LINES if canary else ""
    for name, code in {
        "configuration_canary": CONFIGURATION,
        "modeling_canary": MODEL,
        "tok_canary": TOKENIZER,
    }.items():
        (folder / f"{name}.py").write_text(first_lines + code)
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text(first_lines + GENERATE)

    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {
        "AutoConfig": "configuration_canary.CanaryConfig",
        "AutoModelForCausalLM": "modeling_canary.GPTNeoXForCausalLM",
    }
    if own_architecture:
        config["model_type"] = "made_by_code"
    (folder / "config.json").write_text(json.dumps(config))

    if own_tokenizer:
        tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
        tokenizer["tokenizer_class"] = "CanaryTokenizer"
        tokenizer["auto_map"] = {"AutoTokenizer": [None, "tok_canary.CanaryTokenizer"]}
        (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    return folder
