"""The web: a live page, an HTTP API, and what an operator watches."""
