"""Builders of what several test modules need: plain functions and classes, without assertions."""
