"""The gateway: the gRPC services and what they share with any other edge."""
