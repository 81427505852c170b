"""Every decoder of bytes that others wrote, and arbitrary bytes for each."""
