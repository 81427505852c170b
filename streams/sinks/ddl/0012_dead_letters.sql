-- What was done about dead letters, and which of them are open.

ALTER TABLE dead_letters ADD COLUMN IF NOT EXISTS attempt Int32
    COMMENT 'How often the record was given back to the consumer before: 0 as it came by itself.' AFTER value_sha256;

CREATE TABLE dead_letter_actions
(
    action LowCardinality(String) COMMENT 'redrive: given back to the consumer at its own place in the log; republish: published again, to count from then on; drop: left as it is.',
    by String COMMENT 'Who did it: a pseudonym.',
    text Nullable(String) COMMENT 'Why, in their words.',
    consumer LowCardinality(String) COMMENT 'Who refused the record, e.g. items or sink.',
    topic LowCardinality(String) COMMENT 'Full name of the topic that the record lies in.',
    partition Int32 COMMENT 'Partition there, and of this record too.',
    offset Int64 COMMENT 'Offset there.',
    log_time DateTime64(3, 'UTC') COMMENT 'The original record\'s timestamp, milliseconds since 1970 UTC.',
    attempt Int32 COMMENT 'Number of the action on this letter, from 1; a refusal that follows has the same.',
    reason LowCardinality(String) COMMENT 'Code that the letter was refused with.',
    key Nullable(String) COMMENT 'The original record\'s key; only of redrive.',
    value Nullable(String) COMMENT 'The original record\'s bytes; only of redrive.',
    logged_at DateTime64(3, 'UTC') COMMENT 'When the log got the record.',
    _topic LowCardinality(String) COMMENT 'Topic of the record, without prefix.',
    _partition UInt16 COMMENT 'Partition of the record.',
    _offset UInt64 COMMENT 'Offset of the record.',
    _version UInt64 COMMENT 'Decides between rows of one identity: the newest wins.'
)
ENGINE = ReplacingMergeTree(_version)
ORDER BY (consumer, topic, partition, offset, attempt, action)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'What was done about dead letters; the newest row of an identity counts: read with FINAL.';

CREATE OR REPLACE VIEW dead_letters_now
(
    consumer LowCardinality(String) COMMENT 'Who refused it, e.g. items or sink.',
    topic LowCardinality(String) COMMENT 'Full name of the topic it lies in.',
    partition Int32 COMMENT 'Partition there.',
    offset Int64 COMMENT 'Offset there.',
    project String COMMENT 'Project that its key names; empty where it names none.',
    reason LowCardinality(String) COMMENT 'Code of the last refusal.',
    detail String COMMENT 'What is wrong and the remedy; for a bug the traceback.',
    refused_at DateTime64(3, 'UTC') COMMENT 'When it was refused last.',
    state LowCardinality(String) COMMENT 'open, redriven, republished or dropped; one that is refused again is open again.',
    by String COMMENT 'Who did the last thing about it; empty of one that nobody did anything about.',
    text Nullable(String) COMMENT 'Why, in their words.',
    done_at DateTime64(3, 'UTC') COMMENT 'When they did; 1970 of one that nobody did anything about.'
)
AS
SELECT l.consumer AS consumer, l.topic AS topic, l.partition AS partition, l.offset AS offset,
    decodeURLComponent(splitByChar('/', ifNull(l.key, ''))[1]) AS project,
    l.reason AS reason, l.detail AS detail, l.logged_at AS refused_at,
    multiIf(ifNull(a.last, 0) <= l.attempt, 'open', a.action = 'drop', 'dropped', a.action = 'redrive', 'redriven',
        'republished') AS state,
    a.by AS by, a.text AS text, a.done_at AS done_at
FROM (SELECT * FROM dead_letters FINAL) AS l
LEFT JOIN
(
    SELECT consumer, topic, partition, offset, max(attempt) AS last, argMax(action, place) AS action,
        argMax(by, place) AS by, argMax(tuple(text), place).1 AS text, argMax(logged_at, place) AS done_at
    FROM (SELECT *, (attempt, -toUnixTimestamp64Milli(logged_at), action) AS place FROM dead_letter_actions FINAL)
    GROUP BY consumer, topic, partition, offset
) AS a USING (consumer, topic, partition, offset)
COMMENT 'Every dead letter with what became of it.';

-- A fact that was refused and then taken after all counts like any other.

CREATE OR REPLACE VIEW judged_labels
(
    project LowCardinality(String) COMMENT 'Project.',
    item_id String COMMENT 'Item.',
    annotator String COMMENT 'Annotator: a pseudonym; or model.',
    actor_kind LowCardinality(String) COMMENT 'annotator or model.',
    labelled_at DateTime64(3, 'UTC') COMMENT 'When the label was given, else when the log got it.',
    label String COMMENT 'The label.',
    truth String COMMENT 'The right answer: by verdict, else truth gold, else other gold.',
    duration_ms Nullable(Int64) COMMENT 'Time the annotator spent, milliseconds.',
    guideline_version LowCardinality(Nullable(String)) COMMENT 'Guideline in force when the label was given.'
)
AS
SELECT
    j.project AS project,
    j.item_id AS item_id,
    j.annotator AS annotator,
    j.actor_kind AS actor_kind,
    j.labelled_at AS labelled_at,
    assumeNotNull(j.label) AS label,
    assumeNotNull(coalesce(j.reference_label, g.label)) AS truth,
    j.duration_ms AS duration_ms,
    j.guideline_version AS guideline_version
FROM judgements AS j FINAL
LEFT JOIN
(
    SELECT
        project,
        item_id,
        argMax(label, (coalesce(occurred_at, logged_at), coalesce(source_seq, -1), event_id)) AS label
    FROM gold FINAL
    WHERE value_kind = 'choice' AND use = 'evaluation' -- other gold comes as the judgement's reference, if allowed
        AND (_partition, _offset) NOT IN
        (
            SELECT partition, offset FROM dead_letters_now
            WHERE consumer = 'items' AND state IN ('open', 'dropped') AND endsWith(topic, '.gold')
        )
    GROUP BY project, item_id
) AS g ON j.project = g.project AND j.item_id = g.item_id
WHERE j.value_kind = 'choice' AND coalesce(j.reference_label, g.label) IS NOT NULL
    AND coalesce(j.reference_value_kind, 'choice') = 'choice'
COMMENT 'Every label whose right answer is known, beside it.';

CREATE OR REPLACE VIEW reviewer_verdicts
(
    project LowCardinality(String) COMMENT 'Project.',
    reviewer String COMMENT 'Reviewer: a pseudonym.',
    verdicts UInt64 COMMENT 'Verdicts given and not taken back.',
    overturned UInt64 COMMENT 'Those that say another answer than was shown: corrected or rejected.',
    overturn_rate Float64 COMMENT 'overturned / verdicts.',
    again UInt64 COMMENT 'Verdicts on items that another reviewer had judged before.',
    contradicted UInt64 COMMENT 'Those of them that give another answer than the reviewer before.'
)
AS
SELECT
    project,
    actor_id AS reviewer,
    count() AS verdicts,
    countIf(verdict IN ('corrected', 'rejected')) AS overturned,
    overturned / verdicts AS overturn_rate,
    countIf(before.1 != '' AND before.1 != reviewer) AS again,
    countIf(before.1 != '' AND before.1 != reviewer AND before.2 != ifNull(label, '')) AS contradicted
FROM
(
    SELECT
        project,
        item_id,
        actor_id,
        verdict,
        label,
        lagInFrame((actor_id, ifNull(label, '')), 1, ('', '')) OVER
        (
            PARTITION BY project, item_id
            ORDER BY coalesce(occurred_at, logged_at), event_id
            ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        ) AS before
    FROM corrections FINAL
    WHERE verdict IN ('corrected', 'confirmed', 'rejected')
        AND event_id NOT IN (SELECT assumeNotNull(undoes) FROM corrections WHERE undoes IS NOT NULL)
        AND (_partition, _offset) NOT IN
        (
            SELECT partition, offset FROM dead_letters_now
            WHERE consumer = 'items' AND state IN ('open', 'dropped') AND endsWith(topic, '.corrections')
        )
)
GROUP BY project, reviewer
COMMENT 'How often each reviewer overturns what was shown, and is at odds with another reviewer.';

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
WINDOW log AS (PARTITION BY project ORDER BY logged_at, _partition, _offset ROWS UNBOUNDED PRECEDING)
COMMENT 'Verdicts that stand, one after the other, and the errors they found.';

CREATE OR REPLACE VIEW estimates_judged
(
    project LowCardinality(String) COMMENT 'Project.',
    item_id String COMMENT 'Item.',
    p_wrong Float64 COMMENT 'Probability that the shown answer was wrong, as last told before the right one was known.',
    shown String COMMENT 'The answer shown then.',
    truth Nullable(String) COMMENT 'The right answer; null where a reviewer only rejected what was shown.',
    source LowCardinality(String) COMMENT 'Who knows: verdict, truth (gold that fixes the answer) or evaluation (other gold).',
    wrong Bool COMMENT 'Whether the shown answer was wrong.'
)
AS
SELECT h.project AS project, h.item_id AS item_id, h.last_p AS p_wrong, h.shown AS shown,
    multiIf(s.known, s.label, s.rejected, NULL, g.label) AS truth,
    multiIf(s.known, s.source, s.rejected, 'verdict', 'evaluation') AS source,
    ifNull(truth != shown, true) AS wrong
FROM
(
    SELECT project, item_id, argMax(assumeNotNull(p_wrong), _version) AS last_p,
        argMax(assumeNotNull(consensus_label), _version) AS shown
    FROM review_history
    WHERE consensus_source IN ('posterior', 'majority') AND consensus_label IS NOT NULL AND p_wrong IS NOT NULL
    GROUP BY project, item_id
) AS h
INNER JOIN
(
    SELECT project, item_id, consensus_source AS source, consensus_label AS label,
        consensus_source IN ('verdict', 'truth') AND ifNull(consensus_value_kind = 'choice', false) AS known,
        consensus_source = 'none' AND JSONExtractString(verdict, 'verdict') = 'rejected' AS rejected
    FROM review_state FINAL
    WHERE status != 'removed'
) AS s ON s.project = h.project AND s.item_id = h.item_id
LEFT JOIN
(
    SELECT project, item_id,
        argMax(label, (coalesce(occurred_at, logged_at), coalesce(source_seq, -1), event_id)) AS label
    FROM gold FINAL
    WHERE value_kind = 'choice' AND use = 'evaluation'
        AND (_partition, _offset) NOT IN
        (
            SELECT partition, offset FROM dead_letters_now
            WHERE consumer = 'items' AND state IN ('open', 'dropped') AND endsWith(topic, '.gold')
        )
    GROUP BY project, item_id
) AS g ON g.project = h.project AND g.item_id = h.item_id
WHERE s.known OR s.rejected OR g.label IS NOT NULL
COMMENT 'What p_wrong said of items of which the right class has become known since.';
