"""Proof logs of lower bounds, and the verifier that shares no code with the solver."""
