"""L2-regularised probes: logistic, multinomial, ridge, single neurons."""
