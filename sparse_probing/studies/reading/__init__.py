"""Reading probes: one-vs-rest probes of all neurons, chosen on validation groups and reported on test groups."""
