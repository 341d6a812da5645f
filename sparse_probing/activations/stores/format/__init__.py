"""How the activations of a part are encoded in bytes, and read back."""
