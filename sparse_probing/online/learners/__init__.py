"""Learners: what turns the rows of one place, batch by batch, into probes of all label sets."""
