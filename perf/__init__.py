"""Measures Helix beside a bare proxy and other gateways, on this machine, in one run."""
