"""From sources of text to sequences of tokens with labels."""
