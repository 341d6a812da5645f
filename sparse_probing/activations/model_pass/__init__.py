"""Batches, the forward pass that ends at the last hook, and pooling over tokens."""
