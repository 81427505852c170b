"""The log as files: taken from a stack, and put back onto an empty one."""
