-- Verdicts of one millisecond in an order that another partition count does not change.

CREATE OR REPLACE VIEW review_progress
(
    project LowCardinality(String) COMMENT 'Project.',
    n UInt64 COMMENT 'Number of the verdict in the project, from 1, in the order in which the log got them.',
    at DateTime64(3, 'UTC') COMMENT 'When the log got it.',
    item_id String COMMENT 'Item.',
    reviewer String COMMENT 'Reviewer: a pseudonym.',
    verdict LowCardinality(String) COMMENT 'corrected, confirmed or rejected.',
    found UInt64 COMMENT 'Verdicts up to this one that found an error: corrected or rejected.'
)
AS
SELECT project, row_number() OVER log AS n, logged_at AS at, item_id, actor_id AS reviewer, verdict,
    countIf(verdict != 'confirmed') OVER log AS found
FROM
(
    SELECT * FROM corrections FINAL
    WHERE verdict IN ('corrected', 'confirmed', 'rejected')
        AND event_id NOT IN (SELECT assumeNotNull(undoes) FROM corrections WHERE undoes IS NOT NULL)
        AND (_partition, _offset) NOT IN
        (
            SELECT partition, offset FROM dead_letters_now
            WHERE consumer = 'items' AND state IN ('open', 'dropped') AND endsWith(topic, '.corrections')
        )
)
WINDOW log AS (PARTITION BY project ORDER BY logged_at, item_id, _offset ROWS UNBOUNDED PRECEDING)
COMMENT 'Verdicts that stand, one after the other, and the errors they found.';
