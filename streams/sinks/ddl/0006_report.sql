-- What a project's report shows: how the queue and its estimates went, and how people and models did week by week.

CREATE TABLE review_history
(
    project LowCardinality(String) COMMENT 'Project.',
    item_id String COMMENT 'Item.',
    at DateTime64(3, 'UTC') COMMENT 'When the log got the snapshot; a rebuild tells the past anew at its own time.',
    status LowCardinality(String) COMMENT 'unlabelled, open, closed or removed.',
    consensus_source LowCardinality(String) COMMENT 'verdict, truth, posterior, majority or none.',
    consensus_value_kind LowCardinality(Nullable(String)) COMMENT 'Kind of the shown answer.',
    consensus_label Nullable(String) COMMENT 'The shown answer as text, of a choice only.',
    p_wrong Nullable(Float64) COMMENT 'Probability that the shown answer is wrong, 0 to 1.',
    _version UInt64 COMMENT 'Build and offset of the snapshot: the order of an item''s snapshots.'
)
ENGINE = ReplacingMergeTree
ORDER BY (project, item_id, _version)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Every snapshot of an item''s task, of which review_state keeps the newest; may be there twice until merged.';

CREATE MATERIALIZED VIEW IF NOT EXISTS review_history_feed TO review_history
(
    project LowCardinality(String) COMMENT 'Project.',
    item_id String COMMENT 'Item.',
    at DateTime64(3, 'UTC') COMMENT 'When the log got the snapshot.',
    status LowCardinality(String) COMMENT 'unlabelled, open, closed or removed.',
    consensus_source LowCardinality(String) COMMENT 'verdict, truth, posterior, majority or none.',
    consensus_value_kind LowCardinality(Nullable(String)) COMMENT 'Kind of the shown answer.',
    consensus_label Nullable(String) COMMENT 'The shown answer as text, of a choice only.',
    p_wrong Nullable(Float64) COMMENT 'Probability that the shown answer is wrong, 0 to 1.',
    _version UInt64 COMMENT 'Build and offset of the snapshot.'
)
AS
SELECT project, item_id, logged_at AS at, status, consensus_source, consensus_value_kind,
    if(consensus_value_kind = 'choice', consensus_label, NULL) AS consensus_label, p_wrong, _version
FROM review_state
COMMENT 'Fills review_history as snapshots come in.';

INSERT INTO review_history
SELECT project, item_id, logged_at, status, consensus_source, consensus_value_kind,
    if(consensus_value_kind = 'choice', consensus_label, NULL), p_wrong, _version
FROM review_state;

CREATE VIEW answers_now
(
    project LowCardinality(String) COMMENT 'Project.',
    status LowCardinality(String) COMMENT 'unlabelled, open or closed.',
    tier LowCardinality(Nullable(String)) COMMENT 'p0 (first) to p3 while open.',
    source LowCardinality(String) COMMENT 'Where the shown answer comes from: verdict, truth, posterior, majority or none.',
    items UInt64 COMMENT 'Items.',
    labels Int64 COMMENT 'Labels that stand.',
    expected_wrong Float64 COMMENT 'Expected number of wrong answers among them: the sum of p_wrong.'
)
AS
SELECT project, status, tier, consensus_source AS source, count() AS items, sum(n_labels) AS labels,
    sum(ifNull(p_wrong, 0)) AS expected_wrong
FROM review_state FINAL
WHERE status != 'removed'
GROUP BY project, status, tier, source
ORDER BY project, status, tier, source
COMMENT 'Items by status, tier and source of the shown answer.';

CREATE VIEW queue_history
(
    project LowCardinality(String) COMMENT 'Project.',
    at DateTime('UTC') COMMENT 'Second in which something changed.',
    opened UInt64 COMMENT 'Tasks opened in it.',
    closed UInt64 COMMENT 'Tasks closed in it, by a verdict, truth gold or the removal of the item.',
    open Int64 COMMENT 'Open tasks at its end.'
)
AS
SELECT project, at, opened, closed,
    sum(toInt64(opened) - toInt64(closed)) OVER (PARTITION BY project ORDER BY at ROWS UNBOUNDED PRECEDING) AS open
FROM
(
    SELECT project, toDateTime(moment, 'UTC') AS at, countIf(change > 0) AS opened, countIf(change < 0) AS closed
    FROM
    (
        SELECT project, at AS moment,
            (status = 'open') - lagInFrame(status = 'open') OVER
            (
                PARTITION BY project, item_id ORDER BY _version
                ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
            ) AS change
        FROM review_history FINAL
    )
    WHERE change != 0
    GROUP BY project, at
)
COMMENT 'Open review tasks over time.';

CREATE VIEW review_progress
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
            SELECT partition, offset FROM dead_letters WHERE consumer = 'items' AND endsWith(topic, '.corrections')
        )
)
WINDOW log AS (PARTITION BY project ORDER BY logged_at, _partition, _offset ROWS UNBOUNDED PRECEDING)
COMMENT 'Verdicts that stand, one after the other, and the errors they found.';

CREATE VIEW estimates_judged
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
            SELECT partition, offset FROM dead_letters WHERE consumer = 'items' AND endsWith(topic, '.gold')
        )
    GROUP BY project, item_id
) AS g ON g.project = h.project AND g.item_id = h.item_id
WHERE s.known OR s.rejected OR g.label IS NOT NULL
COMMENT 'What p_wrong said of items of which the right class has become known since.';

CREATE VIEW p_wrong_reliability
(
    project LowCardinality(String) COMMENT 'Project.',
    bin UInt8 COMMENT 'Tenth of p_wrong: 0 for 0 to 0.1, up to 9.',
    items UInt64 COMMENT 'Items whose right class has become known.',
    expected Float64 COMMENT 'Mean of p_wrong.',
    wrong UInt64 COMMENT 'Items whose shown answer was wrong.',
    share Float64 COMMENT 'wrong / items; near to expected if p_wrong can be trusted.',
    low Float64 COMMENT 'Lower end of the 90 % Wilson interval of the share.',
    high Float64 COMMENT 'Upper end of the 90 % Wilson interval of the share.'
)
AS
WITH 1.6448536269514722 AS z
SELECT
    project,
    bin,
    items,
    expected,
    wrong,
    wrong / items AS share,
    (share + z * z / (2 * items) - z * sqrt(share * (1 - share) / items + z * z / (4 * items * items)))
        / (1 + z * z / items) AS low,
    (share + z * z / (2 * items) + z * sqrt(share * (1 - share) / items + z * z / (4 * items * items)))
        / (1 + z * z / items) AS high
FROM
(
    SELECT project, toUInt8(least(9, floor(p_wrong * 10))) AS bin, count() AS items, avg(p_wrong) AS expected,
        countIf(estimates_judged.wrong) AS wrong
    FROM estimates_judged
    GROUP BY project, bin
)
ORDER BY project, bin
COMMENT 'How often answers were wrong, beside how often p_wrong said they would be.';

CREATE VIEW accuracy_weekly
(
    project LowCardinality(String) COMMENT 'Project.',
    annotator String COMMENT 'Annotator: a pseudonym; or model.',
    actor_kind LowCardinality(String) COMMENT 'annotator or model.',
    week Date COMMENT 'Monday of the UTC week of the label.',
    basis LowCardinality(String) COMMENT 'known: against verdicts and gold; estimate: against verdicts and truth gold, and elsewhere against the posterior, in which one''s own label has a part.',
    labels UInt64 COMMENT 'Choice labels judged; an estimate judges all of them.',
    correct Float64 COMMENT 'Right ones; of an estimate the expected number.',
    accuracy Float64 COMMENT 'correct / labels.',
    low Float64 COMMENT 'Lower end of the 90 % Wilson interval of the accuracy.',
    high Float64 COMMENT 'Upper end of the 90 % Wilson interval of the accuracy.'
)
AS
WITH 1.6448536269514722 AS z
SELECT
    project,
    annotator,
    actor_kind,
    week,
    basis,
    labels,
    correct,
    correct / labels AS accuracy,
    greatest(0, (accuracy + z * z / (2 * labels)
        - z * sqrt(accuracy * (1 - accuracy) / labels + z * z / (4 * labels * labels))) / (1 + z * z / labels)) AS low,
    least(1, (accuracy + z * z / (2 * labels)
        + z * sqrt(accuracy * (1 - accuracy) / labels + z * z / (4 * labels * labels))) / (1 + z * z / labels)) AS high
FROM
(
    SELECT project, annotator, actor_kind, toMonday(toDate(labelled_at, 'UTC')) AS week, 'known' AS basis,
        count() AS labels, toFloat64(countIf(label = truth)) AS correct
    FROM judged_labels
    GROUP BY project, annotator, actor_kind, week
    UNION ALL
    SELECT j.project AS project, j.annotator AS annotator, j.actor_kind AS actor_kind,
        toMonday(toDate(j.labelled_at, 'UTC')) AS week, 'estimate' AS basis, count() AS labels,
        least(toFloat64(labels), sum(if(ifNull(j.reference_value_kind = 'choice', false),
            toFloat64(ifNull(j.label = j.reference_label, false)), s.posterior[assumeNotNull(j.label)]))) AS correct
    FROM judgements AS j FINAL
    INNER JOIN (SELECT project, item_id, posterior FROM review_state FINAL) AS s
        ON s.project = j.project AND s.item_id = j.item_id
    WHERE j.value_kind = 'choice'
    GROUP BY project, annotator, actor_kind, week
)
ORDER BY project, annotator, week, basis
COMMENT 'How often annotators and models were right, by UTC week of the label.';

CREATE VIEW same_mistakes
(
    project LowCardinality(String) COMMENT 'Project.',
    annotator String COMMENT 'Annotator: a pseudonym.',
    model String COMMENT 'Model.',
    items UInt64 COMMENT 'Items that both answered and whose right answer is known.',
    wrong UInt64 COMMENT 'Items among them that the annotator got wrong.',
    model_wrong UInt64 COMMENT 'Items among them that the model got wrong.',
    same UInt64 COMMENT 'Items that the annotator got wrong, and of which the model said the same wrong class.',
    share Nullable(Float64) COMMENT 'same / wrong; null where the annotator got nothing wrong.',
    by_chance Nullable(Float64) COMMENT 'The share to expect of a model that errs as often in each class, whatever the annotator said.'
)
AS
SELECT
    a.project AS project,
    a.annotator AS annotator,
    m.annotator AS model,
    count() AS items,
    countIf(a.label != a.truth) AS wrong,
    countIf(m.label != m.truth) AS model_wrong,
    countIf(a.label != a.truth AND m.label = a.label) AS same,
    if(wrong > 0, same / wrong, NULL) AS share,
    if(wrong > 0, sumIf(c.rate, a.label != a.truth) / wrong, NULL) AS by_chance
FROM judged_labels AS a
INNER JOIN judged_labels AS m ON m.project = a.project AND m.item_id = a.item_id
LEFT JOIN
(
    SELECT project, annotator, truth, answer,
        labels / sum(labels) OVER (PARTITION BY project, annotator, truth) AS rate
    FROM confusion_matrix
    WHERE actor_kind = 'model'
) AS c ON c.project = m.project AND c.annotator = m.annotator AND c.truth = a.truth AND c.answer = a.label
WHERE a.actor_kind = 'annotator' AND m.actor_kind = 'model'
GROUP BY project, annotator, model
ORDER BY project, wrong DESC, annotator, model
COMMENT 'Whether a model makes the mistakes that an annotator makes.';

CREATE VIEW label_time_weekly
(
    project LowCardinality(String) COMMENT 'Project.',
    week Date COMMENT 'Monday of the UTC week of the label.',
    labels UInt64 COMMENT 'Labels whose time is known, of all annotators.',
    median_ms Float64 COMMENT 'Median time for a label, milliseconds.',
    p90_ms Float64 COMMENT 'Time that nine in ten stay below, milliseconds.'
)
AS
SELECT
    project,
    toMonday(toDate(labelled_at, 'UTC')) AS week,
    count() AS labels,
    quantileExact(0.5)(assumeNotNull(duration_ms)) AS median_ms,
    quantileExact(0.9)(assumeNotNull(duration_ms)) AS p90_ms
FROM judgements FINAL
WHERE actor_kind = 'annotator' AND duration_ms IS NOT NULL AND value_kind IS NOT NULL
GROUP BY project, week
ORDER BY project, week
COMMENT 'Time per label of all annotators, by UTC week.';

CREATE VIEW label_time
(
    project LowCardinality(String) COMMENT 'Project.',
    annotator String COMMENT 'Annotator: a pseudonym.',
    labels UInt64 COMMENT 'Labels whose time is known.',
    p10_ms Float64 COMMENT 'Time that one in ten stays below, milliseconds.',
    median_ms Float64 COMMENT 'Median time for a label, milliseconds.',
    p90_ms Float64 COMMENT 'Time that nine in ten stay below, milliseconds.'
)
AS
SELECT
    project,
    annotator,
    count() AS labels,
    quantileExact(0.1)(assumeNotNull(duration_ms)) AS p10_ms,
    quantileExact(0.5)(assumeNotNull(duration_ms)) AS median_ms,
    quantileExact(0.9)(assumeNotNull(duration_ms)) AS p90_ms
FROM judgements FINAL
WHERE actor_kind = 'annotator' AND duration_ms IS NOT NULL AND value_kind IS NOT NULL
GROUP BY project, annotator
ORDER BY project, median_ms, annotator
COMMENT 'Time per label, by annotator.';

CREATE VIEW agreement_by_kind
(
    project LowCardinality(String) COMMENT 'Project.',
    kind LowCardinality(String) COMMENT 'Kind of the labels: choice, choices, number, text, spans, boxes, polygons or tracks.',
    week Date COMMENT 'Monday of the UTC week of the newest label of the item.',
    items UInt64 COMMENT 'Items with two labels or more.',
    agreement Float64 COMMENT 'Mean over items of the agreement of annotator pairs, 0 to 1; of regions by IoU.'
)
AS
SELECT d.project AS project, d.kind AS kind, toMonday(toDate(j.at, 'UTC')) AS week, count() AS items,
    avg(assumeNotNull(d.agreement)) AS agreement
FROM disagreement AS d FINAL
INNER JOIN
(
    SELECT project, item_id, max(labelled_at) AS at
    FROM judgements FINAL
    WHERE actor_kind = 'annotator' AND value_kind IS NOT NULL
    GROUP BY project, item_id
) AS j ON j.project = d.project AND j.item_id = d.item_id
WHERE d.agreement IS NOT NULL
GROUP BY project, kind, week
ORDER BY project, kind, week
COMMENT 'How far annotators agree on an item, for every kind of label, by UTC week.';

CREATE VIEW region_labels
(
    project LowCardinality(String) COMMENT 'Project.',
    item_id String COMMENT 'Item.',
    annotator String COMMENT 'Annotator: a pseudonym.',
    kind LowCardinality(String) COMMENT 'spans, boxes, polygons or tracks.',
    value String COMMENT 'The label, whole, as JSON.',
    reference String COMMENT 'The right answer by verdict or truth gold, as JSON; empty where it is not known, or is of another kind.',
    p_wrong Nullable(Float64) COMMENT 'Expected share of wrong decisions in the shown answer.',
    text Nullable(String) COMMENT 'The item''s text, cut at 2,000 characters.'
)
AS
SELECT j.project AS project, j.item_id AS item_id, j.annotator AS annotator, assumeNotNull(j.value_kind) AS kind,
    j.value AS value, if(ifNull(j.reference_value_kind = j.value_kind, false), j.reference_value, '') AS reference,
    s.p_wrong AS p_wrong, s.text AS text
FROM judgements AS j FINAL
LEFT JOIN (SELECT project, item_id, p_wrong, text FROM review_state FINAL) AS s
    ON s.project = j.project AND s.item_id = j.item_id
WHERE j.actor_kind = 'annotator' AND j.value_kind IN ('spans', 'boxes', 'polygons', 'tracks')
COMMENT 'Structured labels, whole, to compare region by region.';
