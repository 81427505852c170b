-- Views of the last refit alone: a class, day or annotator that it does not tell of any more is left out.

CREATE OR REPLACE VIEW skill_now
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
WHERE (project, refit) IN (SELECT project, max(refit) FROM skill FINAL GROUP BY project)
ORDER BY project, accuracy DESC, annotator
COMMENT 'Estimated accuracy of annotators and models, as of the last refit.';

CREATE OR REPLACE VIEW agreement_now
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
WHERE items > 0 AND (project, refit) IN (SELECT project, max(refit) FROM agreement FINAL GROUP BY project)
ORDER BY project, scope, name
COMMENT 'Agreement of the annotators of each project and its parts, as of the last refit.';
