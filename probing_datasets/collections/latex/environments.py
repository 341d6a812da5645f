"""The LaTeX environments that are formulas."""

DISPLAY_ENVIRONMENTS = (
    *("displaymath", "equation", "align", "alignat", "flalign", "gather", "multline", "eqnarray"),
    *("dmath", "dgroup", "IEEEeqnarray", "mathpar"),
)
INLINE_ENVIRONMENTS = ("math",)
MATH_ENVIRONMENTS = frozenset([*DISPLAY_ENVIRONMENTS, *INLINE_ENVIRONMENTS])
"""Environments that are formulas, without their starred forms."""
