-- Roles of labelloop's users, for a ClickHouse of your own. An administrator applies it once, and again after an update:
--   clickhouse-client --secure --host HOST --user ADMIN --ask-password --queries-file deploy/clickhouse/roles.sql
-- Another database than `labelloop`: replace `labelloop.` in this file. Users come after it (docs/security.md).

CREATE ROLE IF NOT EXISTS labelloop_migrator, labelloop_sink, labelloop_analyst, labelloop_reports;

-- Makes and changes the tables: `labelloop prepare`. Keep its user: servers may let the history of the queue be written
-- by whoever made its view, and the tables that are computed every ten minutes be replaced, which takes DROP TABLE.
GRANT CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP TABLE, DROP VIEW, ALTER TABLE, ALTER VIEW, SELECT, INSERT, SHOW
    ON labelloop.* TO labelloop_migrator;
GRANT TABLE ENGINE ON MergeTree TO labelloop_migrator;
GRANT TABLE ENGINE ON ReplacingMergeTree TO labelloop_migrator;

-- Adds rows, and asks which partitions of a topic a table has rows of: `labelloop worker sink`.
GRANT SELECT ON labelloop.migrations TO labelloop_sink;
GRANT SHOW ON labelloop.* TO labelloop_sink;
GRANT INSERT, SELECT(_topic, _partition) ON labelloop.agreement TO labelloop_sink;
GRANT INSERT, SELECT(_topic, _partition) ON labelloop.claims TO labelloop_sink;
GRANT INSERT, SELECT(_topic, _partition) ON labelloop.comments TO labelloop_sink;
GRANT INSERT, SELECT(_topic, _partition) ON labelloop.corrections TO labelloop_sink;
GRANT INSERT, SELECT(_topic, _partition) ON labelloop.dead_letter_actions TO labelloop_sink;
GRANT INSERT, SELECT(_topic, _partition) ON labelloop.dead_letters TO labelloop_sink;
GRANT INSERT, SELECT(_topic, _partition) ON labelloop.disagreement TO labelloop_sink;
GRANT INSERT, SELECT(_topic, _partition) ON labelloop.feedback TO labelloop_sink;
GRANT INSERT, SELECT(_topic, _partition) ON labelloop.flags TO labelloop_sink;
GRANT INSERT, SELECT(_topic, _partition) ON labelloop.flips TO labelloop_sink;
GRANT INSERT, SELECT(_topic, _partition) ON labelloop.gold TO labelloop_sink;
GRANT INSERT, SELECT(_topic, _partition) ON labelloop.items TO labelloop_sink;
GRANT INSERT, SELECT(_topic, _partition) ON labelloop.judgements TO labelloop_sink;
GRANT INSERT, SELECT(_topic, _partition) ON labelloop.labels TO labelloop_sink;
GRANT INSERT, SELECT(_topic, _partition) ON labelloop.labels_corrected TO labelloop_sink;
GRANT INSERT, SELECT(_topic, _partition) ON labelloop.models TO labelloop_sink;
GRANT INSERT, SELECT(_topic, _partition) ON labelloop.predictions TO labelloop_sink;
GRANT INSERT, SELECT(_topic, _partition) ON labelloop.projects TO labelloop_sink;
GRANT INSERT, SELECT(_topic, _partition) ON labelloop.review_state TO labelloop_sink;
GRANT INSERT, SELECT(_topic, _partition) ON labelloop.review_tasks TO labelloop_sink;
GRANT INSERT, SELECT(_topic, _partition) ON labelloop.skill TO labelloop_sink;
GRANT INSERT, SELECT(_topic, _partition) ON labelloop.snapshots TO labelloop_sink;
-- The view `review_history_feed` writes the history of the queue from what comes into `review_state`.
GRANT SELECT(project, item_id, logged_at, status, consensus_source, consensus_value_kind, consensus_label, p_wrong, _version)
    ON labelloop.review_state TO labelloop_sink;

-- Reads everything, texts too: `labelloop sql`, `export`, `show`, `inbox`, any client.
GRANT SELECT, SHOW ON labelloop.* TO labelloop_analyst;

-- Reads what `labelloop report` is made of, without comments, claims, dead letters and what people were told.
GRANT SELECT, SHOW ON labelloop.* TO labelloop_reports;
REVOKE SELECT ON labelloop.claims FROM labelloop_reports;
REVOKE SELECT ON labelloop.comments FROM labelloop_reports;
REVOKE SELECT ON labelloop.dead_letter_actions FROM labelloop_reports;
REVOKE SELECT ON labelloop.dead_letters FROM labelloop_reports;
REVOKE SELECT ON labelloop.feedback FROM labelloop_reports;
GRANT SELECT(consumer, topic, partition, offset, attempt) ON labelloop.dead_letters TO labelloop_reports;
GRANT SELECT(action, consumer, topic, partition, offset, attempt, logged_at) ON labelloop.dead_letter_actions
    TO labelloop_reports;

-- Both read only, whatever a query asks for; 2 lets drivers and dashboards set limits of their own.
CREATE SETTINGS PROFILE IF NOT EXISTS labelloop_reading SETTINGS readonly = 2 TO labelloop_analyst, labelloop_reports;
