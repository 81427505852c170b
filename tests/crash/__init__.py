"""Workers that are killed, frozen and fenced; each test checks that every change is visible exactly once."""
