"""The pipeline: harvest activations, fit probes, run studies on a cluster."""
