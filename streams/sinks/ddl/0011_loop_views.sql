-- What analysts ask of the loop: what was trained on what, how it was judged, what it changed, and who heard of it.

CREATE VIEW training_snapshots
(
    project LowCardinality(String) COMMENT 'Project.',
    snapshot String COMMENT 'Name of the snapshot.',
    made_at DateTime64(3, 'UTC') COMMENT 'When the log got it.',
    as_of DateTime64(3, 'UTC') COMMENT 'Log time of its newest fact.',
    cause LowCardinality(String) COMMENT 'What led to it: by_hand, corrections, class, age, drift or guideline.',
    rows Int64 COMMENT 'Number of rows.',
    by_verdict Int64 COMMENT 'Rows that a verdict resolved.',
    by_truth Int64 COMMENT 'Rows that truth gold resolved.',
    by_consensus Int64 COMMENT 'Rows that a consensus of the annotators resolved.',
    class_counts Map(String, Int64) COMMENT 'Rows by class; a row of several classes counts in each.',
    content_hash String COMMENT 'SHA-256 of the rows in order, hexadecimal.',
    model_version Nullable(String) COMMENT 'Model that was trained on it; null: none was.',
    outcome LowCardinality(Nullable(String)) COMMENT 'What became of it last: trained, failed, refused or promoted; null: nothing yet.',
    reason Nullable(String) COMMENT 'Why it was refused, failed, or promoted by hand.'
)
AS
SELECT s.project AS project, s.snapshot AS snapshot, s.made_at AS made_at, s.newest AS as_of, s.cause AS cause,
    s.rows AS rows, s.sources['verdict'] AS by_verdict, s.sources['truth'] AS by_truth,
    s.sources['consensus'] AS by_consensus, s.class_counts AS class_counts, s.content_hash AS content_hash,
    m.version AS model_version, nullIf(m.outcome, '') AS outcome, m.why AS reason
FROM
(
    SELECT project, snapshot, argMin(logged_at, _offset) AS made_at, argMin(as_of, _offset) AS newest,
        argMin(cause, _offset) AS cause, argMin(snapshots.rows, _offset) AS rows,
        argMin(source_counts, _offset) AS sources, argMin(snapshots.class_counts, _offset) AS class_counts,
        argMin(snapshots.content_hash, _offset) AS content_hash
    FROM snapshots FINAL
    GROUP BY project, snapshot
) AS s
LEFT JOIN
(
    SELECT project, assumeNotNull(snapshot) AS name, nullIf(anyIf(ifNull(model_version, ''), stage = 'trained'), '')
        AS version, argMax(stage, _offset) AS outcome, argMax(tuple(reason), _offset).1 AS why
    FROM models FINAL
    WHERE snapshot IS NOT NULL AND stage IN ('trained', 'failed', 'refused', 'promoted')
    GROUP BY project, name
) AS m ON m.project = s.project AND m.name = s.snapshot
ORDER BY project, made_at
COMMENT 'What models were trained on, the oldest first, and what became of it.';

CREATE VIEW models_now
(
    project LowCardinality(String) COMMENT 'Project.',
    model_version LowCardinality(String) COMMENT 'Version of the model.',
    n UInt64 COMMENT 'Its number among the models of the project, from 1, in the order of their training.',
    trained_at DateTime64(3, 'UTC') COMMENT 'When the log heard that it was trained.',
    snapshot Nullable(String) COMMENT 'Snapshot that it was trained on.',
    trainer LowCardinality(Nullable(String)) COMMENT 'Name of the trainer.',
    rows Nullable(Float64) COMMENT 'Rows that it was trained on.',
    accuracy Nullable(Float64) COMMENT 'Share of all rows that it has right, cross-fitted, weighed by how sure the rows are.',
    judged Nullable(Float64) COMMENT 'Rows among them with a verdict or truth gold.',
    accuracy_judged Nullable(Float64) COMMENT 'Share of those that it has right, cross-fitted.',
    log_loss Nullable(Float64) COMMENT 'Mean negative log of the probability it gave the right value, cross-fitted; null for numbers.',
    compared_with LowCardinality(Nullable(String)) COMMENT 'Champion that it was compared with; null: there was none.',
    verdict LowCardinality(Nullable(String)) COMMENT 'promoted or refused, the last word of the gate or a person; null: not judged.',
    verdict_by Nullable(String) COMMENT 'Who said so: retrain is the gate.',
    reason Nullable(String) COMMENT 'Why it was refused, or promoted by hand.',
    stage LowCardinality(String) COMMENT 'What happened to it last: trained, refused, promoted, scored (predictions published) or told (receipts published).',
    is_champion Bool COMMENT 'Whether it is the champion: the one that was promoted last.',
    metrics Map(String, Float64) COMMENT 'All its measurements by name.'
)
AS
SELECT
    m.project AS project,
    m.version AS model_version,
    row_number() OVER (PARTITION BY m.project ORDER BY m.place) AS n,
    m.began AS trained_at,
    m.trained_on AS snapshot,
    m.name AS trainer,
    if(mapContains(m.numbers, 'rows'), m.numbers['rows'], NULL) AS rows,
    if(mapContains(m.numbers, 'accuracy'), m.numbers['accuracy'], NULL) AS accuracy,
    if(mapContains(m.numbers, 'judged'), m.numbers['judged'], NULL) AS judged,
    if(mapContains(m.numbers, 'accuracy_judged'), m.numbers['accuracy_judged'], NULL) AS accuracy_judged,
    if(mapContains(m.numbers, 'log_loss'), m.numbers['log_loss'], NULL) AS log_loss,
    m.other AS compared_with,
    nullIf(m.said, '') AS verdict,
    nullIf(m.said_by, '') AS verdict_by,
    m.why AS reason,
    m.last_stage AS stage,
    m.version = c.version AS is_champion,
    m.numbers AS metrics
FROM
(
    SELECT
        project,
        assumeNotNull(model_version) AS version,
        minIf(_offset, stage = 'trained') AS place,
        argMinIf(logged_at, _offset, stage = 'trained') AS began,
        argMinIf(tuple(snapshot), _offset, stage = 'trained').1 AS trained_on,
        argMinIf(tuple(trainer), _offset, stage = 'trained').1 AS name,
        argMinIf(metrics, _offset, stage = 'trained') AS numbers,
        argMinIf(tuple(champion), _offset, stage = 'trained').1 AS other,
        argMaxIf(stage, _offset, stage IN ('promoted', 'refused')) AS said,
        argMaxIf(actor_id, _offset, stage IN ('promoted', 'refused')) AS said_by,
        argMaxIf(tuple(reason), _offset, stage IN ('promoted', 'refused')).1 AS why,
        argMax(stage, _offset) AS last_stage
    FROM models FINAL
    WHERE model_version IS NOT NULL
    GROUP BY project, version
    HAVING countIf(stage = 'trained') > 0
) AS m
LEFT JOIN
(
    SELECT project, argMax(assumeNotNull(model_version), _offset) AS version
    FROM models FINAL
    WHERE stage = 'promoted' AND model_version IS NOT NULL
    GROUP BY project
) AS c ON c.project = m.project
ORDER BY project, n
COMMENT 'Every model with its measurements, what was decided about it and how far it has come, the oldest first.';

CREATE VIEW gate_results
(
    project LowCardinality(String) COMMENT 'Project.',
    model_version LowCardinality(String) COMMENT 'The new model.',
    champion LowCardinality(Nullable(String)) COMMENT 'Model that it was compared with; null: the most frequent value.',
    judged_at DateTime64(3, 'UTC') COMMENT 'When the log got the gate''s word.',
    verdict LowCardinality(String) COMMENT 'promoted or refused: the model as a whole.',
    part LowCardinality(String) COMMENT 'Which examples: new, fixed, corrected or held_out.',
    examples Int64 COMMENT 'Number of examples.',
    champion_right Float64 COMMENT 'Share that the champion has right, 0 to 1.',
    model_right Float64 COMMENT 'Share that the new model has right, 0 to 1.',
    low Float64 COMMENT 'Lower end of the 95 % interval of the difference, new model less champion.',
    high Float64 COMMENT 'Upper end of the 95 % interval of the difference.',
    regressions Int64 COMMENT 'Examples that the champion has right and the new model wrong; of new ones those that nobody supports.',
    allowed Nullable(Int64) COMMENT 'How many of these are allowed; null: the interval decides.',
    passed Bool COMMENT 'Whether this part lets the model pass.'
)
AS
SELECT
    project,
    assumeNotNull(model_version) AS model_version,
    champion,
    logged_at AS judged_at,
    stage AS verdict,
    JSONExtractString(one, 'part') AS part,
    JSONExtractInt(one, 'examples') AS examples,
    JSONExtractFloat(one, 'champion') AS champion_right,
    JSONExtractFloat(one, 'challenger') AS model_right,
    JSONExtractFloat(one, 'low') AS low,
    JSONExtractFloat(one, 'high') AS high,
    JSONExtractInt(one, 'regressions') AS regressions,
    if(JSONExtractInt(one, 'allowed') < 0, NULL, JSONExtractInt(one, 'allowed')) AS allowed,
    JSONExtractBool(one, 'passed') AS passed
FROM (SELECT * FROM models FINAL WHERE stage IN ('promoted', 'refused') AND models.model_version IS NOT NULL)
ARRAY JOIN JSONExtractArrayRaw(checks) AS one
ORDER BY project, judged_at, model_version, part
COMMENT 'What the regression gate compared, part by part; a promotion by hand is not judged and not here.';

CREATE VIEW flip_counts
(
    project LowCardinality(String) COMMENT 'Project.',
    model_version LowCardinality(String) COMMENT 'The new model.',
    champion LowCardinality(Nullable(String)) COMMENT 'The one before it; null: there was none.',
    part LowCardinality(String) COMMENT 'Which examples: fixed, corrected or held_out; an item may be in several.',
    now_right UInt64 COMMENT 'Examples that only the new model has right.',
    still_wrong UInt64 COMMENT 'Examples that neither has right.',
    newly_wrong UInt64 COMMENT 'Examples that only the one before had right.'
)
AS
SELECT project, model_version, champion, part, countIf(outcome = 'now_right') AS now_right,
    countIf(outcome = 'still_wrong') AS still_wrong, countIf(outcome = 'newly_wrong') AS newly_wrong
FROM flips FINAL
GROUP BY project, model_version, champion, part
ORDER BY project, model_version, part
COMMENT 'How many answers each model changed, for better and for worse.';

CREATE VIEW model_accuracy
(
    project LowCardinality(String) COMMENT 'Project.',
    n UInt64 COMMENT 'Number of the model in the project, from 1.',
    model_version LowCardinality(String) COMMENT 'The model.',
    as_of DateTime64(3, 'UTC') COMMENT 'Log time of the newest fact that it was trained on.',
    rows Nullable(Float64) COMMENT 'Rows that it was trained on.',
    accuracy Nullable(Float64) COMMENT 'Share of all rows that it has right, cross-fitted.',
    accuracy_judged Nullable(Float64) COMMENT 'Share of the rows with a verdict or truth gold that it has right, cross-fitted: to be held against the annotators.',
    annotator_labels UInt64 COMMENT 'Choice labels of people, given by then, of items with a verdict or gold now.',
    annotator_accuracy Nullable(Float64) COMMENT 'Share of those that are right; null without any.',
    verdict LowCardinality(Nullable(String)) COMMENT 'promoted or refused; null: not judged.'
)
AS
SELECT m.project AS project, m.n AS n, m.model_version AS model_version, m.as_of AS as_of, m.rows AS rows,
    m.accuracy AS accuracy, m.accuracy_judged AS accuracy_judged, a.labels AS annotator_labels,
    if(a.labels > 0, a.correct / a.labels, NULL) AS annotator_accuracy, m.verdict AS verdict
FROM
(
    SELECT project, models_now.n AS n, models_now.model_version AS model_version, s.as_of AS as_of,
        models_now.rows AS rows, models_now.accuracy AS accuracy, models_now.accuracy_judged AS accuracy_judged,
        models_now.verdict AS verdict
    FROM models_now
    INNER JOIN (SELECT project, training_snapshots.snapshot AS name, as_of FROM training_snapshots) AS s
        ON s.project = models_now.project AND s.name = assumeNotNull(models_now.snapshot)
) AS m
LEFT JOIN
(
    SELECT s.project AS project, s.as_of AS as_of, count() AS labels, countIf(j.label = j.truth) AS correct
    FROM judged_labels AS j
    INNER JOIN (SELECT DISTINCT project, as_of FROM training_snapshots) AS s ON s.project = j.project
    WHERE j.actor_kind = 'annotator' AND j.labelled_at <= s.as_of
    GROUP BY project, as_of
) AS a ON a.project = m.project AND a.as_of = m.as_of
ORDER BY project, n
COMMENT 'How often each model is right, beside how often people were by then.';

CREATE VIEW receipts
(
    project LowCardinality(String) COMMENT 'Project.',
    recipient String COMMENT 'Who hears of it.',
    recipient_role LowCardinality(String) COMMENT 'author (of the correction or flag) or labeller (of the label that was judged).',
    model_version LowCardinality(Nullable(String)) COMMENT 'Model that learnt from it.',
    snapshot Nullable(String) COMMENT 'Snapshot that took it.',
    at DateTime64(3, 'UTC') COMMENT 'Log time of the newest fact in that snapshot.',
    place Int64 COMMENT 'Place among the recipient''s receipts of this model, the most instructive first, from 1.',
    told Bool COMMENT 'Whether it is within what the policy lets a person hear of in a day.',
    item_id String COMMENT 'Item.',
    by String COMMENT 'Who corrected or flagged.',
    by_role LowCardinality(String) COMMENT 'Their role then.',
    cause LowCardinality(String) COMMENT 'What they did: corrected, confirmed, rejected or flagged; empty: the fact is not stored yet.',
    reason Nullable(String) COMMENT 'Why, in their words.',
    caused_by String COMMENT 'event_id of the correction or flag.',
    label_event Nullable(String) COMMENT 'event_id of the label that was judged.',
    label Nullable(String) COMMENT 'The label that was judged.',
    resolved Nullable(String) COMMENT 'The value that was trained on; null: the item was not trained on.',
    before Nullable(String) COMMENT 'What the former model said of the item.',
    after Nullable(String) COMMENT 'What the new model says of it.',
    outcome LowCardinality(String) COMMENT 'learnt (right now, and not before), still_right, newly_wrong, still_wrong, or unknown: the item was not trained on.',
    similar Nullable(String) COMMENT 'What the similar items have in common: group:NAME or class:NAME.',
    similar_items Int64 COMMENT 'Number of similar items with a verdict or truth.',
    similar_right_before Int64 COMMENT 'How many of them the former model had right.',
    similar_right_after Int64 COMMENT 'How many of them the new model has right.',
    event_id String COMMENT 'Id of the receipt.'
)
AS
SELECT
    f.project AS project,
    f.recipient AS recipient,
    f.recipient_role AS recipient_role,
    f.model_version AS model_version,
    f.snapshot AS snapshot,
    f.at AS at,
    f.place AS place,
    f.told AS told,
    f.item_id AS item_id,
    f.by AS by,
    f.by_role AS by_role,
    c.what AS cause,
    c.why AS reason,
    f.caused_by AS caused_by,
    f.label_event AS label_event,
    f.label AS label,
    f.resolved AS resolved,
    ifNull(f.before_label, nullIf(f.before_value, '')) AS before,
    ifNull(f.after_label, nullIf(f.after_value, '')) AS after,
    multiIf(
        f.right_after IS NULL, 'unknown',
        f.right_after, if(ifNull(f.right_before, false), 'still_right', 'learnt'),
        if(ifNull(f.right_before, false), 'newly_wrong', 'still_wrong')
    ) AS outcome,
    f.similar AS similar,
    f.similar_items AS similar_items,
    f.similar_right_before AS similar_right_before,
    f.similar_right_after AS similar_right_after,
    f.event_id AS event_id
FROM (SELECT * FROM feedback FINAL) AS f
LEFT JOIN
(
    SELECT project, item_id, event_id, toString(verdict) AS what, reason AS why FROM corrections FINAL
    UNION ALL
    SELECT project, item_id, event_id, 'flagged' AS what, text AS why FROM flags FINAL
) AS c ON c.project = f.project AND c.item_id = f.item_id AND c.event_id = f.caused_by
ORDER BY project, recipient, at DESC, model_version, place
COMMENT 'Who heard what their correction, flag or label taught a model, the newest model first; caused_by and label_event lead back to the facts.';

CREATE VIEW receipts_by_actor
(
    project LowCardinality(String) COMMENT 'Project.',
    recipient String COMMENT 'Who hears of it.',
    recipient_role LowCardinality(String) COMMENT 'author (of corrections and flags) or labeller (of labels that were judged).',
    receipts UInt64 COMMENT 'Receipts, each of one correction or flag and one model.',
    told UInt64 COMMENT 'Those within what the policy lets a person hear of in a day.',
    models UInt64 COMMENT 'Models that they are about.',
    items UInt64 COMMENT 'Items that they are about.',
    learnt UInt64 COMMENT 'Items that a model got right only after it learnt.',
    wrong UInt64 COMMENT 'Receipts of items that the new model has wrong, not trained on them.'
)
AS
SELECT project, recipient, recipient_role, count() AS receipts, countIf(r.told) AS told,
    uniqExact(model_version) AS models, uniqExact(item_id) AS items, uniqExactIf(item_id, outcome = 'learnt') AS learnt,
    countIf(outcome IN ('still_wrong', 'newly_wrong')) AS wrong
FROM receipts AS r
GROUP BY project, recipient, recipient_role
ORDER BY project, recipient, recipient_role
COMMENT 'What came of each person''s corrections, flags and judged labels.';
