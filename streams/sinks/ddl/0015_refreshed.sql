-- Six views read all labels of a project, or all that ever came of them: over ten million labels they take 0.3 to 2 s. Of
-- each there is now a table that is computed anew every ten minutes, one after the other and each on one core, and answers
-- in milliseconds; the view beside it, with `_now` in its name, says the same of this moment.

DROP TABLE IF EXISTS accuracy_weekly_refresh;
DROP TABLE IF EXISTS accuracy_weekly;
CREATE OR REPLACE VIEW accuracy_weekly_now
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
CREATE TABLE accuracy_weekly AS accuracy_weekly_now
ENGINE = MergeTree
ORDER BY (project, annotator, week, basis)
COMMENT 'How often annotators and models were right, by UTC week of the label: as of the last ten minutes; accuracy_weekly_now says it of this moment.';
CREATE MATERIALIZED VIEW IF NOT EXISTS accuracy_weekly_refresh
    REFRESH EVERY 10 MINUTE TO accuracy_weekly
AS
SELECT * FROM accuracy_weekly_now SETTINGS max_threads = 1
COMMENT 'Fills accuracy_weekly.';

DROP TABLE IF EXISTS agreement_by_kind_refresh;
DROP TABLE IF EXISTS agreement_by_kind;
CREATE OR REPLACE VIEW agreement_by_kind_now
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
CREATE TABLE agreement_by_kind AS agreement_by_kind_now
ENGINE = MergeTree
ORDER BY (project, kind, week)
COMMENT 'How far annotators agree on an item, for every kind of label, by UTC week: as of the last ten minutes; agreement_by_kind_now says it of this moment.';
CREATE MATERIALIZED VIEW IF NOT EXISTS agreement_by_kind_refresh
    REFRESH EVERY 10 MINUTE OFFSET 1 MINUTE TO agreement_by_kind
AS
SELECT * FROM agreement_by_kind_now SETTINGS max_threads = 1
COMMENT 'Fills agreement_by_kind.';

DROP TABLE IF EXISTS queue_history_refresh;
DROP TABLE IF EXISTS queue_history;
CREATE OR REPLACE VIEW queue_history_now
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
CREATE TABLE queue_history AS queue_history_now
ENGINE = MergeTree
ORDER BY (project, at)
COMMENT 'Open review tasks over time: as of the last ten minutes; queue_history_now says it of this moment.';
CREATE MATERIALIZED VIEW IF NOT EXISTS queue_history_refresh
    REFRESH EVERY 10 MINUTE OFFSET 2 MINUTE TO queue_history
AS
SELECT * FROM queue_history_now SETTINGS max_threads = 1
COMMENT 'Fills queue_history.';

DROP TABLE IF EXISTS p_wrong_reliability_refresh;
DROP TABLE IF EXISTS p_wrong_reliability;
CREATE OR REPLACE VIEW p_wrong_reliability_now
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
CREATE TABLE p_wrong_reliability AS p_wrong_reliability_now
ENGINE = MergeTree
ORDER BY (project, bin)
COMMENT 'How often answers were wrong, beside how often p_wrong said they would be: as of the last ten minutes; p_wrong_reliability_now says it of this moment.';
CREATE MATERIALIZED VIEW IF NOT EXISTS p_wrong_reliability_refresh
    REFRESH EVERY 10 MINUTE OFFSET 3 MINUTE TO p_wrong_reliability
AS
SELECT * FROM p_wrong_reliability_now SETTINGS max_threads = 1
COMMENT 'Fills p_wrong_reliability.';

DROP TABLE IF EXISTS model_accuracy_refresh;
DROP TABLE IF EXISTS model_accuracy;
CREATE OR REPLACE VIEW model_accuracy_now
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
CREATE TABLE model_accuracy AS model_accuracy_now
ENGINE = MergeTree
ORDER BY (project, n)
COMMENT 'How often each model is right, beside how often people were by then: as of the last ten minutes; model_accuracy_now says it of this moment.';
CREATE MATERIALIZED VIEW IF NOT EXISTS model_accuracy_refresh
    REFRESH EVERY 10 MINUTE OFFSET 4 MINUTE TO model_accuracy
AS
SELECT * FROM model_accuracy_now SETTINGS max_threads = 1
COMMENT 'Fills model_accuracy.';

DROP TABLE IF EXISTS same_mistakes_refresh;
DROP TABLE IF EXISTS same_mistakes;
CREATE OR REPLACE VIEW same_mistakes_now
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
SELECT project, annotator, model, sum(n) AS items, sumIf(n, label != truth) AS wrong,
    sumIf(n, answer != truth) AS model_wrong, sumIf(n, label != truth AND answer = label) AS same, if(wrong > 0, same / wrong, NULL) AS share,
    if(wrong > 0, sumIf(n * c.rate, label != truth) / wrong, NULL) AS by_chance
FROM
(
    SELECT project, truth, person.1 AS annotator, person.2 AS label, one.1 AS model, one.2 AS answer, count() AS n
    FROM
    (
        SELECT project, truth, groupArrayIf((annotator, label), actor_kind = 'annotator') AS people,
            groupArrayIf((annotator, label), actor_kind = 'model') AS models
        FROM judged_labels
        GROUP BY project, item_id, truth
        HAVING notEmpty(models)
    )
    ARRAY JOIN models AS one
    ARRAY JOIN people AS person
    GROUP BY project, truth, annotator, label, model, answer
) AS a
LEFT JOIN
(
    SELECT project, annotator, truth, answer,
        labels / sum(labels) OVER (PARTITION BY project, annotator, truth) AS rate
    FROM confusion_matrix
    WHERE actor_kind = 'model'
) AS c ON c.project = a.project AND c.annotator = a.model AND c.truth = a.truth AND c.answer = a.label
GROUP BY project, annotator, model
ORDER BY project, wrong DESC, annotator, model
COMMENT 'Whether a model makes the mistakes that an annotator makes.';
CREATE TABLE same_mistakes AS same_mistakes_now
ENGINE = MergeTree
ORDER BY (project, annotator, model)
COMMENT 'Whether a model makes the mistakes that an annotator makes: as of the last ten minutes; same_mistakes_now says it of this moment.';
CREATE MATERIALIZED VIEW IF NOT EXISTS same_mistakes_refresh
    REFRESH EVERY 10 MINUTE OFFSET 5 MINUTE TO same_mistakes
AS
SELECT * FROM same_mistakes_now SETTINGS max_threads = 1
COMMENT 'Fills same_mistakes.';

-- The tables know which facts are the same.
CREATE OR REPLACE VIEW event_counts
(
    project LowCardinality(String) COMMENT 'Project.',
    topic String COMMENT 'Fact topic.',
    events UInt64 COMMENT 'Facts; one that came twice counts once.'
)
AS
SELECT project, topic, events
FROM
(
    SELECT project, 'items' AS topic, count() AS events FROM items FINAL GROUP BY project
    UNION ALL SELECT project, 'labels' AS topic, count() AS events FROM labels FINAL GROUP BY project
    UNION ALL SELECT project, 'flags' AS topic, count() AS events FROM flags FINAL GROUP BY project
    UNION ALL SELECT project, 'comments' AS topic, count() AS events FROM comments FINAL GROUP BY project
    UNION ALL SELECT project, 'corrections' AS topic, count() AS events FROM corrections FINAL GROUP BY project
    UNION ALL SELECT project, 'predictions' AS topic, count() AS events FROM predictions FINAL GROUP BY project
    UNION ALL SELECT project, 'gold' AS topic, count() AS events FROM gold FINAL GROUP BY project
    UNION ALL SELECT project, 'claims' AS topic, count() AS events FROM claims FINAL GROUP BY project
    UNION ALL SELECT project, 'projects' AS topic, count() AS events FROM projects FINAL GROUP BY project
)
ORDER BY project, topic
COMMENT 'Distinct facts of each project by topic.';

-- Of one annotator's labels only theirs are merged: who annotated is part of what FINAL goes by.
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
SETTINGS optimize_move_to_prewhere_if_final = 1
COMMENT 'Every label whose right answer is known, beside it.';
