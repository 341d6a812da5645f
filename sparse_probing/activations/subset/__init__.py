"""Activations of chosen neurons at every token, and what each neuron does at each token string."""
