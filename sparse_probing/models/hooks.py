"""Hooks that fire once in a forward pass, which stops after the last of them."""

from __future__ import annotations

from collections.abc import Callable

import torch

from sparse_probing.models.tensor_trace import Site

Hook = Callable[[torch.Tensor], None]
"""Takes an activation."""


class LastHookFired(Exception):  # noqa: N818 (not an error: it ends a forward pass)
    """All hooks have fired: what the forward pass would still compute is not needed."""


class OneShotHooks:
    """The hooks of one forward pass, and which of them have not fired yet."""

    def __init__(self, hooks: dict[str, Hook]) -> None:
        self.hooks = hooks
        self.pending = set(hooks)

    def fire(self, name: str, activation: torch.Tensor) -> None:
        """Pass an activation to its hook; raise LastHookFired when no other hook has still to fire."""
        self.pending.discard(name)
        self.hooks[name](activation)
        if not self.pending:
            raise LastHookFired


def hook_site(module: torch.nn.Module, site: Site, hook: Hook) -> torch.utils.hooks.RemovableHandle:
    """Call a hook on an input or output of a module of a Hugging Face model; return the handle that removes it."""
    if site.side == "input":
        return module.register_forward_pre_hook(
            lambda _module, inputs, keywords: hook(site.pick(inputs, keywords)), with_kwargs=True
        )
    return module.register_forward_hook(lambda _module, _inputs, output: hook(site.pick(output, {})))
