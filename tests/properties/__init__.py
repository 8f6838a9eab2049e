"""What holds on every scenario."""
