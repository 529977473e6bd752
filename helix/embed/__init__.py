"""Embeddings in this process. The model and what runs it are loaded when an embedder is opened, not before."""

from __future__ import annotations

from helix.embed.local import SentenceTransformerEmbedder

__all__ = ["SentenceTransformerEmbedder"]
