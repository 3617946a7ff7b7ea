"""What runs in a content process; nothing of it is imported by the server."""
