"""Statistics of every neuron over all tokens: histograms, moments and the tokens with the largest activations."""
