"""Embeddings in this process. torch and the model are loaded when an embedder is opened, not before."""

from __future__ import annotations

from helix.embed.local import SentenceTransformerEmbedder

__all__ = ["SentenceTransformerEmbedder"]
