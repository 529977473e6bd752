"""The admit stage: who is calling, which models they may use, and how many requests they may make."""

from helix.admit.keys import Authority, KeyStore, StoredKey
from helix.admit.middleware import AdmitMiddleware

__all__ = ["AdmitMiddleware", "Authority", "KeyStore", "StoredKey"]
