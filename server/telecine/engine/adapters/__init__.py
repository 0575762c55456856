"""Small additions to a network that a request asks for."""
