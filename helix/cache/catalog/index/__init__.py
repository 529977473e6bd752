"""The search index that a catalog asks."""
