"""From texts to sequences of tokens with labels."""
