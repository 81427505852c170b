-- What analysts ask of skill and agreement. A model's judgements lie beside those of people, and are told apart by kind.

DROP VIEW IF EXISTS annotator_accuracy_daily;

CREATE VIEW judged_labels
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
            SELECT partition, offset FROM dead_letters WHERE consumer = 'items' AND endsWith(topic, '.gold')
        )
    GROUP BY project, item_id
) AS g ON j.project = g.project AND j.item_id = g.item_id
WHERE j.value_kind = 'choice' AND coalesce(j.reference_label, g.label) IS NOT NULL
    AND coalesce(j.reference_value_kind, 'choice') = 'choice'
COMMENT 'Every label whose right answer is known, beside it.';

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
    SELECT project, annotator, toDate(labelled_at, 'UTC') AS day, count() AS judged, countIf(label = truth) AS correct
    FROM judged_labels
    WHERE actor_kind = 'annotator'
    GROUP BY project, annotator, day
)
COMMENT 'How often each annotator was right, by UTC day of the label.';

CREATE VIEW class_accuracy_weekly
(
    project LowCardinality(String) COMMENT 'Project.',
    annotator String COMMENT 'Annotator: a pseudonym; or model.',
    actor_kind LowCardinality(String) COMMENT 'annotator or model.',
    class String COMMENT 'The right answer.',
    week Date COMMENT 'Monday of the UTC week of the label.',
    judged UInt64 COMMENT 'Labels of items of that class whose right answer is known.',
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
    actor_kind,
    class,
    week,
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
        project,
        annotator,
        actor_kind,
        truth AS class,
        toMonday(toDate(labelled_at, 'UTC')) AS week,
        count() AS judged,
        countIf(label = truth) AS correct
    FROM judged_labels
    GROUP BY project, annotator, actor_kind, class, week
)
COMMENT 'How often annotators and models were right on each class, by UTC week of the label.';

CREATE VIEW confusion_matrix
(
    project LowCardinality(String) COMMENT 'Project.',
    annotator String COMMENT 'Annotator: a pseudonym; or model.',
    actor_kind LowCardinality(String) COMMENT 'annotator or model.',
    truth String COMMENT 'The right answer.',
    answer String COMMENT 'The given answer.',
    labels UInt64 COMMENT 'Number of labels.'
)
AS
SELECT project, annotator, actor_kind, truth, label AS answer, count() AS labels
FROM judged_labels
GROUP BY project, annotator, actor_kind, truth, answer
COMMENT 'What annotators and models answer where the right answer is known.';

CREATE VIEW skill_now
(
    project LowCardinality(String) COMMENT 'Project.',
    annotator String COMMENT 'Annotator: a pseudonym; or model.',
    actor_kind LowCardinality(String) COMMENT 'annotator or model.',
    n_labels Int64 COMMENT 'Labels it rests on.',
    judged Int64 COMMENT 'Labels among them whose item has a verdict or truth gold.',
    accuracy Float64 COMMENT 'Estimate from all labels: expected share of right ones.',
    low Float64 COMMENT 'Lower end of its 90 % interval.',
    high Float64 COMMENT 'Upper end of its 90 % interval.',
    recent Float64 COMMENT 'The same with the newest labels counting most.',
    drift_at Nullable(DateTime64(3, 'UTC')) COMMENT 'Time of the label at which the last drift alarm went off.'
)
AS
SELECT project, annotator, actor_kind, n_labels, judged, accuracy, low, high, recent, drift_at
FROM skill FINAL
ORDER BY project, accuracy DESC, annotator
COMMENT 'Estimated accuracy of annotators and models, as of the last refit.';

CREATE VIEW drift_alarms
(
    project LowCardinality(String) COMMENT 'Project.',
    annotator String COMMENT 'Annotator: a pseudonym; or model.',
    actor_kind LowCardinality(String) COMMENT 'annotator or model.',
    drift_at DateTime64(3, 'UTC') COMMENT 'Time of the label at which the alarm went off.',
    accuracy Float64 COMMENT 'Accuracy over all labels.',
    recent Float64 COMMENT 'Accuracy with the newest labels counting most.'
)
AS
SELECT project, annotator, actor_kind, assumeNotNull(drift_at) AS drift_at, accuracy, recent
FROM skill FINAL
WHERE skill.drift_at IS NOT NULL
ORDER BY drift_at DESC, project, annotator
COMMENT 'Annotators and models whose accuracy has fallen, the newest alarm first.';

CREATE VIEW agreement_now
(
    project LowCardinality(String) COMMENT 'Project.',
    scope LowCardinality(String) COMMENT 'project, class, guideline, group or day.',
    name String COMMENT 'Which class, guideline version, group or day; empty for the project.',
    items Int64 COMMENT 'Items with two labels or more.',
    raw Nullable(Float64) COMMENT 'Mean share of annotator pairs that agree.',
    alpha Nullable(Float64) COMMENT 'Krippendorff''s alpha, nominal.',
    fleiss Nullable(Float64) COMMENT 'Fleiss'' kappa.',
    ac1 Nullable(Float64) COMMENT 'Gwet''s AC1.'
)
AS
SELECT project, scope, name, items, raw, alpha, fleiss, ac1
FROM agreement FINAL
WHERE items > 0
ORDER BY project, scope, name
COMMENT 'Agreement of the annotators of each project and its parts, as of the last refit.';

CREATE VIEW label_time_daily
(
    project LowCardinality(String) COMMENT 'Project.',
    annotator String COMMENT 'Annotator: a pseudonym.',
    day Date COMMENT 'UTC day of the label.',
    labels UInt64 COMMENT 'Labels whose time is known.',
    median_ms Float64 COMMENT 'Median time for a label, milliseconds.',
    p90_ms Float64 COMMENT 'Time that nine in ten stay below, milliseconds.'
)
AS
SELECT
    project,
    annotator,
    toDate(labelled_at, 'UTC') AS day,
    count() AS labels,
    quantileExact(0.5)(assumeNotNull(duration_ms)) AS median_ms,
    quantileExact(0.9)(assumeNotNull(duration_ms)) AS p90_ms
FROM judgements FINAL
WHERE actor_kind = 'annotator' AND duration_ms IS NOT NULL AND value_kind IS NOT NULL
GROUP BY project, annotator, day
COMMENT 'Time per label, by annotator and UTC day.';

CREATE VIEW reviewer_verdicts
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
            SELECT partition, offset FROM dead_letters WHERE consumer = 'items' AND endsWith(topic, '.corrections')
        )
)
GROUP BY project, reviewer
COMMENT 'How often each reviewer overturns what was shown, and is at odds with another reviewer.';
