-- Six views read all labels of a project, or all that ever came of them: over ten million labels they take 0.3 to 2 s. Of
-- each there is now a table that is computed anew every ten minutes, one after the other and each on one core, and answers
-- in milliseconds; the view beside it, with `_now` in its name, says the same of this moment.

CREATE TABLE accuracy_weekly AS accuracy_weekly_now
ENGINE = MergeTree
ORDER BY (project, annotator, week, basis)
COMMENT 'How often annotators and models were right, by UTC week of the label: as of the last ten minutes; accuracy_weekly_now says it of this moment.';
CREATE MATERIALIZED VIEW IF NOT EXISTS accuracy_weekly_refresh
    REFRESH EVERY 10 MINUTE TO accuracy_weekly
AS
SELECT * FROM accuracy_weekly_now SETTINGS max_threads = 1
COMMENT 'Fills accuracy_weekly.';

CREATE TABLE agreement_by_kind AS agreement_by_kind_now
ENGINE = MergeTree
ORDER BY (project, kind, week)
COMMENT 'How far annotators agree on an item, for every kind of label, by UTC week: as of the last ten minutes; agreement_by_kind_now says it of this moment.';
CREATE MATERIALIZED VIEW IF NOT EXISTS agreement_by_kind_refresh
    REFRESH EVERY 10 MINUTE OFFSET 1 MINUTE TO agreement_by_kind
AS
SELECT * FROM agreement_by_kind_now SETTINGS max_threads = 1
COMMENT 'Fills agreement_by_kind.';

CREATE TABLE queue_history AS queue_history_now
ENGINE = MergeTree
ORDER BY (project, at)
COMMENT 'Open review tasks over time: as of the last ten minutes; queue_history_now says it of this moment.';
CREATE MATERIALIZED VIEW IF NOT EXISTS queue_history_refresh
    REFRESH EVERY 10 MINUTE OFFSET 2 MINUTE TO queue_history
AS
SELECT * FROM queue_history_now SETTINGS max_threads = 1
COMMENT 'Fills queue_history.';

CREATE TABLE p_wrong_reliability AS p_wrong_reliability_now
ENGINE = MergeTree
ORDER BY (project, bin)
COMMENT 'How often answers were wrong, beside how often p_wrong said they would be: as of the last ten minutes; p_wrong_reliability_now says it of this moment.';
CREATE MATERIALIZED VIEW IF NOT EXISTS p_wrong_reliability_refresh
    REFRESH EVERY 10 MINUTE OFFSET 3 MINUTE TO p_wrong_reliability
AS
SELECT * FROM p_wrong_reliability_now SETTINGS max_threads = 1
COMMENT 'Fills p_wrong_reliability.';

CREATE TABLE model_accuracy AS model_accuracy_now
ENGINE = MergeTree
ORDER BY (project, n)
COMMENT 'How often each model is right, beside how often people were by then: as of the last ten minutes; model_accuracy_now says it of this moment.';
CREATE MATERIALIZED VIEW IF NOT EXISTS model_accuracy_refresh
    REFRESH EVERY 10 MINUTE OFFSET 4 MINUTE TO model_accuracy
AS
SELECT * FROM model_accuracy_now SETTINGS max_threads = 1
COMMENT 'Fills model_accuracy.';

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
