"""What the studies share: splits, data of a feature, rankings, metrics, controls, rows."""
