"""What the studies share: preparing the data of a feature, fitting, metrics, controls."""
