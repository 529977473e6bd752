"""Helix's stages inside other people's gateways."""
