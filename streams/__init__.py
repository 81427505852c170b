"""labelloop: the streaming backbone of a data-annotation feedback loop."""
