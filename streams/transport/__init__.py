"""Faust run in batches: one fenced Kafka transaction holds outputs, changelog, dead letters and offsets."""
