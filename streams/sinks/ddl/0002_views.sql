-- What analysts ask most. Facts may be there twice until they are merged, so everything reads with FINAL.

CREATE VIEW annotator_accuracy_daily
(
    project LowCardinality(String) COMMENT 'Project.',
    annotator String COMMENT 'Annotator: a pseudonym.',
    day Date COMMENT 'UTC day of the label.',
    judged UInt64 COMMENT 'Labels of that day whose right answer is known: by verdict, else truth gold, else other gold.',
    correct UInt64 COMMENT 'Those that equal the right answer.',
    accuracy Float64 COMMENT 'correct / judged.',
    low Float64 COMMENT 'Lower end of the 95 % Wilson interval of the accuracy.',
    high Float64 COMMENT 'Upper end of the 95 % Wilson interval of the accuracy.'
)
AS
WITH 1.959963984540054 AS z
SELECT
    project,
    annotator,
    day,
    judged,
    correct,
    correct / judged AS accuracy,
    (accuracy + z * z / (2 * judged) - z * sqrt(accuracy * (1 - accuracy) / judged + z * z / (4 * judged * judged)))
        / (1 + z * z / judged) AS low,
    (accuracy + z * z / (2 * judged) + z * sqrt(accuracy * (1 - accuracy) / judged + z * z / (4 * judged * judged)))
        / (1 + z * z / judged) AS high
FROM
(
    SELECT
        j.project AS project,
        j.annotator AS annotator,
        toDate(j.labelled_at, 'UTC') AS day,
        count() AS judged,
        countIf(j.label = coalesce(j.reference_label, g.label)) AS correct
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
                SELECT partition, offset FROM dead_letters WHERE consumer = 'items' AND endsWith(topic, '.gold')
            )
        GROUP BY project, item_id
    ) AS g ON j.project = g.project AND j.item_id = g.item_id
    WHERE j.value_kind = 'choice' AND coalesce(j.reference_label, g.label) IS NOT NULL
        AND coalesce(j.reference_value_kind, 'choice') = 'choice'
    GROUP BY project, annotator, day
)
COMMENT 'How often each annotator was right, by UTC day of the label.';

CREATE VIEW review_queue_now
(
    project LowCardinality(String) COMMENT 'Project.',
    item_id String COMMENT 'Item.',
    tier LowCardinality(Nullable(String)) COMMENT 'p0 (first) to p3.',
    priority Float64 COMMENT 'Expected benefit of one review, 0 to 1.',
    rank Float64 COMMENT 'Order of the queue: the highest first.',
    p_wrong Nullable(Float64) COMMENT 'Probability that the consensus is wrong; null for kinds that are not scored.',
    reasons Array(String) COMMENT 'Why it is in the queue, the strongest first.',
    consensus Nullable(String) COMMENT 'The shown answer, as text.',
    n_labels Int64 COMMENT 'Annotators whose label stands.',
    candidates String COMMENT 'Competing answers, JSON.',
    owner Nullable(String) COMMENT 'Reviewer who works on it; null where nobody does.',
    lease_until Nullable(DateTime64(3, 'UTC')) COMMENT 'When the owner''s claim ends.'
)
AS
SELECT
    project,
    item_id,
    tier,
    priority,
    rank,
    p_wrong,
    reasons,
    consensus_label AS consensus,
    n_labels,
    candidates,
    if(s.lease_until > now64(3), s.owner, NULL) AS owner,
    if(s.lease_until > now64(3), s.lease_until, NULL) AS lease_until
FROM review_state AS s FINAL
WHERE status = 'open'
ORDER BY rank DESC, project, item_id
COMMENT 'Open review tasks, the most urgent first.';

CREATE VIEW disagreement_now
(
    project LowCardinality(String) COMMENT 'Project.',
    item_id String COMMENT 'Item.',
    n_labels Int64 COMMENT 'Annotators whose label stands.',
    votes Map(String, Int64) COMMENT 'Annotators by label.',
    majority Nullable(String) COMMENT 'The most frequent label, ties to the lowest.',
    agreement Nullable(Float64) COMMENT 'Share of annotator pairs that agree; null below two labels.',
    entropy Nullable(Float64) COMMENT 'Entropy of the votes in bits.',
    margin Nullable(Float64) COMMENT 'Share of the most frequent label less that of the next.'
)
AS
SELECT project, item_id, n_labels, votes, majority, agreement, entropy, margin
FROM disagreement FINAL
WHERE n_labels > 0
ORDER BY entropy DESC, project, item_id
COMMENT 'How far the annotators of each item agree, the least agreed first.';

CREATE VIEW event_counts
(
    project LowCardinality(String) COMMENT 'Project.',
    topic String COMMENT 'Fact topic.',
    events UInt64 COMMENT 'Distinct event ids.'
)
AS
SELECT project, topic, uniqExact(event_id) AS events
FROM
(
    SELECT project, 'items' AS topic, event_id FROM items
    UNION ALL SELECT project, 'labels', event_id FROM labels
    UNION ALL SELECT project, 'flags', event_id FROM flags
    UNION ALL SELECT project, 'comments', event_id FROM comments
    UNION ALL SELECT project, 'corrections', event_id FROM corrections
    UNION ALL SELECT project, 'predictions', event_id FROM predictions
    UNION ALL SELECT project, 'gold', event_id FROM gold
    UNION ALL SELECT project, 'claims', event_id FROM claims
    UNION ALL SELECT project, 'projects', event_id FROM projects
)
GROUP BY project, topic
ORDER BY project, topic
COMMENT 'Distinct facts of each project by topic.';
