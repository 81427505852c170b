-- A time outside ClickHouse's range would be stored, but no client could read the table any more.

ALTER TABLE items ADD CONSTRAINT IF NOT EXISTS occurred_at_in_range CHECK ifNull(occurred_at BETWEEN
    toDateTime64('1900-01-01 00:00:00', 3, 'UTC') AND toDateTime64('2299-12-31 23:59:59', 3, 'UTC'), true);

ALTER TABLE labels ADD CONSTRAINT IF NOT EXISTS occurred_at_in_range CHECK ifNull(occurred_at BETWEEN
    toDateTime64('1900-01-01 00:00:00', 3, 'UTC') AND toDateTime64('2299-12-31 23:59:59', 3, 'UTC'), true);

ALTER TABLE flags ADD CONSTRAINT IF NOT EXISTS occurred_at_in_range CHECK ifNull(occurred_at BETWEEN
    toDateTime64('1900-01-01 00:00:00', 3, 'UTC') AND toDateTime64('2299-12-31 23:59:59', 3, 'UTC'), true);

ALTER TABLE comments ADD CONSTRAINT IF NOT EXISTS occurred_at_in_range CHECK ifNull(occurred_at BETWEEN
    toDateTime64('1900-01-01 00:00:00', 3, 'UTC') AND toDateTime64('2299-12-31 23:59:59', 3, 'UTC'), true);

ALTER TABLE corrections ADD CONSTRAINT IF NOT EXISTS occurred_at_in_range CHECK ifNull(occurred_at BETWEEN
    toDateTime64('1900-01-01 00:00:00', 3, 'UTC') AND toDateTime64('2299-12-31 23:59:59', 3, 'UTC'), true);

ALTER TABLE predictions ADD CONSTRAINT IF NOT EXISTS occurred_at_in_range CHECK ifNull(occurred_at BETWEEN
    toDateTime64('1900-01-01 00:00:00', 3, 'UTC') AND toDateTime64('2299-12-31 23:59:59', 3, 'UTC'), true);

ALTER TABLE gold ADD CONSTRAINT IF NOT EXISTS occurred_at_in_range CHECK ifNull(occurred_at BETWEEN
    toDateTime64('1900-01-01 00:00:00', 3, 'UTC') AND toDateTime64('2299-12-31 23:59:59', 3, 'UTC'), true);

ALTER TABLE claims ADD CONSTRAINT IF NOT EXISTS occurred_at_in_range CHECK ifNull(occurred_at BETWEEN
    toDateTime64('1900-01-01 00:00:00', 3, 'UTC') AND toDateTime64('2299-12-31 23:59:59', 3, 'UTC'), true);

ALTER TABLE projects ADD CONSTRAINT IF NOT EXISTS occurred_at_in_range CHECK ifNull(occurred_at BETWEEN
    toDateTime64('1900-01-01 00:00:00', 3, 'UTC') AND toDateTime64('2299-12-31 23:59:59', 3, 'UTC'), true);
