"""Prepare a harvest, create or resume its stores, compute their parts and write them."""
