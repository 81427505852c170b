"""The embedded broker and ClickHouse, and the supervisor of `labelloop up`."""
