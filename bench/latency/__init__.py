"""How long a label takes from being published to being seen, by a reader of the queue and in ClickHouse."""
