"""What every stage stands on: the exchange, the wire dialects, the SSE codec, lifecycles, replies and errors."""
