"""Every metric there is, each with its meaning; served on one local port by `labelloop up`.

Workers are processes of their own: with `PROMETHEUS_MULTIPROC_DIR` set they write their values there, and the
supervisor adds them up.
"""

from prometheus_client import Counter, Gauge, Histogram

RECORDS = Counter("labelloop_records_total", "Records read and passed, by consumer and topic", ["consumer", "topic"])
DEAD_LETTERS = Counter("labelloop_dead_letters_total", "Records sent to the dead-letter topic", ["consumer", "reason"])
COMMIT_SECONDS = Histogram("labelloop_commit_seconds", "Duration of one commit of offsets in seconds", ["consumer"])
BATCH_RECORDS = Histogram(
    "labelloop_batch_records",
    "Records in one batch of one partition",
    ["consumer"],
    buckets=(1, 10, 100, 1000, 10_000, 100_000),
)
LAG = Gauge("labelloop_lag_records", "Records not yet passed, by consumer group and topic", ["group", "topic"])
OPEN_LETTERS = Gauge("labelloop_dead_letters_open", "Dead letters that nobody settled", ["consumer", "reason"])
PROCESS_UP = Gauge("labelloop_process_up", "1 while the process runs, else 0", ["process"])
RESTARTS = Counter("labelloop_restarts_total", "Times a process was started again after it had died", ["process"])
