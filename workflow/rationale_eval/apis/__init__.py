"""Models behind an OpenAI-compatible API: asked within limits and a budget, every reply kept, nothing asked twice."""
