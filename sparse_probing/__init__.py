"""Find the neurons of a language model that encode a feature, check them, and use them."""
