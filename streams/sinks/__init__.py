"""Kafka to ClickHouse, each record once."""
