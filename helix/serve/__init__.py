"""Helix on Ray Serve: the gateway, the embedder, the detector and the embedded servers as deployments."""
