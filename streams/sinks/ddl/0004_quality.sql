-- Skill and agreement of annotators; what a model says of an item, beside what people say.

CREATE TABLE skill
(
    project LowCardinality(String) COMMENT 'Project.',
    annotator String COMMENT 'Annotator, or model.',
    actor_kind LowCardinality(String) COMMENT 'annotator or model.',
    refit Int64 COMMENT 'Refit, rising.',
    n_labels Int64 COMMENT 'Labels it rests on.',
    judged Int64 COMMENT 'Labels among them whose item has a verdict or truth gold.',
    accuracy Float64 COMMENT 'Expected share of right labels, 0 to 1.',
    low Float64 COMMENT 'Lower end of its 90 % interval.',
    high Float64 COMMENT 'Upper end of its 90 % interval.',
    recent Float64 COMMENT 'The same with the newest labels counting most, half as much every 50 labels.',
    drift_at Nullable(DateTime64(3, 'UTC')) COMMENT 'Time of the label at which the last drift alarm went off, milliseconds since 1970 UTC; null: none did.',
    confusion String COMMENT 'The largest entries of the confusion matrix, at most 1,000. JSON.',
    logged_at DateTime64(3, 'UTC') COMMENT 'When the log got the record.',
    _topic LowCardinality(String) COMMENT 'Topic of the record, without prefix.',
    _partition UInt16 COMMENT 'Partition of the record.',
    _offset UInt64 COMMENT 'Offset of the record.',
    _version UInt64 COMMENT 'Decides between rows of one identity: the newest wins.'
)
ENGINE = ReplacingMergeTree(_version)
ORDER BY (project, annotator, actor_kind)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Accuracy of an annotator or model; partitioned by project; the newest row of an identity counts: read with FINAL.';

CREATE TABLE agreement
(
    project LowCardinality(String) COMMENT 'Project.',
    scope LowCardinality(String) COMMENT 'What the part is: project (all of it), class (one class against the others), guideline, group, day (UTC day of an item\'s newest label).',
    name String COMMENT 'Which one: the class, guideline version, group or day; empty for the project.',
    refit Int64 COMMENT 'Refit with which it was published, rising.',
    items Int64 COMMENT 'Items with two labels or more.',
    labels Int64 COMMENT 'Labels of the items that have any.',
    raw Nullable(Float64) COMMENT 'Mean over items of the share of annotator pairs that agree; null where nothing can be compared.',
    alpha Nullable(Float64) COMMENT 'Krippendorff\'s alpha, nominal.',
    alpha_interval Nullable(Float64) COMMENT 'Krippendorff\'s alpha by squared difference; null where labels are no numbers.',
    alpha_ordinal Nullable(Float64) COMMENT 'Krippendorff\'s alpha by rank: declared classes in their order, numbers by size; null where neither holds.',
    alpha_ratio Nullable(Float64) COMMENT 'Krippendorff\'s alpha by ratio; null where labels are no numbers, or are negative.',
    fleiss Nullable(Float64) COMMENT 'Fleiss\' kappa.',
    ac1 Nullable(Float64) COMMENT 'Gwet\'s AC1.',
    logged_at DateTime64(3, 'UTC') COMMENT 'When the log got the record.',
    _topic LowCardinality(String) COMMENT 'Topic of the record, without prefix.',
    _partition UInt16 COMMENT 'Partition of the record.',
    _offset UInt64 COMMENT 'Offset of the record.',
    _version UInt64 COMMENT 'Decides between rows of one identity: the newest wins.'
)
ENGINE = ReplacingMergeTree(_version)
ORDER BY (project, scope, name)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Agreement of the annotators of a project and its parts; partitioned by project; the newest row of an identity counts: read with FINAL.';

ALTER TABLE review_state ADD COLUMN IF NOT EXISTS posterior Map(String, Float64)
    COMMENT 'Probability of each label by the votes, skill and prediction; the 20 likeliest, from one in a million on.' AFTER consensus_value;

ALTER TABLE review_state COMMENT COLUMN consensus_source
    'verdict, truth, posterior, majority or none.';

ALTER TABLE review_tasks ADD COLUMN IF NOT EXISTS posterior Map(String, Float64)
    COMMENT 'Probability of each label by the votes, skill and prediction; the 20 likeliest, from one in a million on.' AFTER consensus_value;

ALTER TABLE review_tasks COMMENT COLUMN consensus_source
    'verdict, truth, posterior, majority or none.';

ALTER TABLE judgements ADD COLUMN IF NOT EXISTS actor_kind LowCardinality(String) DEFAULT 'annotator'
    COMMENT 'annotator, or model: its last prediction of the item, made without training on it.' AFTER annotator;

ALTER TABLE judgements ADD COLUMN IF NOT EXISTS probabilities Map(String, Float64)
    COMMENT 'A model\'s probability by class, 0 to 1; empty for a person.' AFTER judged_at;

ALTER TABLE judgements ADD COLUMN IF NOT EXISTS `group` Nullable(String)
    COMMENT 'Group of the item.' AFTER probabilities;

ALTER TABLE judgements COMMENT COLUMN annotator
    'Annotator, or model.';

ALTER TABLE judgements COMMENT COLUMN event_id
    'event_id of the label or prediction.';

ALTER TABLE judgements COMMENT COLUMN value_kind
    'Kind of: What the annotator or model says; null if it was retracted.';

ALTER TABLE judgements COMMENT COLUMN label
    'As text, to group by: What the annotator or model says; null if it was retracted.';

ALTER TABLE judgements COMMENT COLUMN value
    'Whole, as JSON: What the annotator or model says; null if it was retracted.';
