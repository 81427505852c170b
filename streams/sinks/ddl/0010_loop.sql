-- The loop: what models were trained on, what became of them, what they changed, and who heard of it.

CREATE TABLE snapshots
(
    event_id String COMMENT 'Derived from the source\'s own ids, never random: the same fact sent twice has the same id. At most 200 characters.',
    project LowCardinality(String) COMMENT 'Project; first part of the key. 1 to 200 characters.',
    item_id String COMMENT 'Item; second part of the key. 1 to 500 characters; empty only for facts about a whole project and for ticks.',
    actor_id String COMMENT 'Who acted: a pseudonym.',
    actor_kind LowCardinality(String) COMMENT 'Kind of actor.',
    occurred_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When it happened in the source, milliseconds since 1970-01-01 UTC; null where the source has no time. At most 5 minutes after the log\'s own timestamp.',
    source LowCardinality(String) COMMENT 'Tool that sent the fact, e.g. sdk, import, label-studio.',
    source_ref Nullable(String) COMMENT 'The source\'s own id of the thing.',
    source_seq Nullable(Int64) COMMENT 'The source\'s own order, e.g. the line number of a file.',
    schema_version LowCardinality(Nullable(String)) COMMENT 'Label schema in force when the person acted; a hash where the tool has no versions.',
    guideline_version LowCardinality(Nullable(String)) COMMENT 'Guideline in force when the person acted.',
    caused_by Nullable(String) COMMENT 'event_id of what led to this fact, e.g. the correction behind a receipt.',
    attributes Map(String, String) COMMENT 'Whatever else the source knew, as text.',
    snapshot String COMMENT 'Name of the snapshot: derived from the offsets and settings, so that the same facts give the same name.',
    cause LowCardinality(String) COMMENT 'What led to it: by_hand, corrections, class, age, drift or guideline.',
    as_of DateTime64(3, 'UTC') COMMENT 'Log time of its newest fact, milliseconds since 1970 UTC.',
    offsets String COMMENT 'How far each partition of the fact topics is part of it, by topic and partition. JSON.',
    settings String COMMENT 'Classes, policy and training policy that it was made under. JSON, keys sorted.',
    schema_versions Array(String) COMMENT 'Label schemas of its evidence, sorted.',
    guideline_versions Array(String) COMMENT 'Guidelines of its evidence, sorted.',
    code_version String COMMENT 'Version of labelloop that computed it.',
    rows Int64 COMMENT 'Number of rows.',
    class_counts Map(String, Int64) COMMENT 'Rows by class; a row of several classes counts in each.',
    source_counts Map(String, Int64) COMMENT 'Rows by what resolved them: verdict, truth or consensus.',
    content_hash String COMMENT 'SHA-256 of the rows in order, hexadecimal.',
    fixed String COMMENT 'Examples that every model is judged by: fixed gold, else a sample of early verdicts that the first snapshot froze. JSON.',
    files Map(String, String) COMMENT 'SHA-256 of each file that features come from, hexadecimal, by its name.',
    logged_at DateTime64(3, 'UTC') COMMENT 'When the log got the record.',
    _topic LowCardinality(String) COMMENT 'Topic of the record, without prefix.',
    _partition UInt16 COMMENT 'Partition of the record.',
    _offset UInt64 COMMENT 'Offset of the record.',
    _version UInt64 COMMENT 'Decides between rows of one identity: the first copy of a fact wins.'
)
ENGINE = ReplacingMergeTree(_version)
ORDER BY (project, event_id)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'What models are trained on: how far the facts were read, and what came of it; the first copy of an event_id counts: read with FINAL.';

CREATE TABLE models
(
    event_id String COMMENT 'Derived from the source\'s own ids, never random: the same fact sent twice has the same id. At most 200 characters.',
    project LowCardinality(String) COMMENT 'Project; first part of the key. 1 to 200 characters.',
    item_id String COMMENT 'Item; second part of the key. 1 to 500 characters; empty only for facts about a whole project and for ticks.',
    actor_id String COMMENT 'Who acted: a pseudonym.',
    actor_kind LowCardinality(String) COMMENT 'Kind of actor.',
    occurred_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When it happened in the source, milliseconds since 1970-01-01 UTC; null where the source has no time. At most 5 minutes after the log\'s own timestamp.',
    source LowCardinality(String) COMMENT 'Tool that sent the fact, e.g. sdk, import, label-studio.',
    source_ref Nullable(String) COMMENT 'The source\'s own id of the thing.',
    source_seq Nullable(Int64) COMMENT 'The source\'s own order, e.g. the line number of a file.',
    schema_version LowCardinality(Nullable(String)) COMMENT 'Label schema in force when the person acted; a hash where the tool has no versions.',
    guideline_version LowCardinality(Nullable(String)) COMMENT 'Guideline in force when the person acted.',
    caused_by Nullable(String) COMMENT 'event_id of what led to this fact, e.g. the correction behind a receipt.',
    attributes Map(String, String) COMMENT 'Whatever else the source knew, as text.',
    stage LowCardinality(String) COMMENT 'requested, trained, failed, refused, promoted (by the gate, or by hand: a rollback is one), scored or told.',
    model_version LowCardinality(Nullable(String)) COMMENT 'Version of the model; null where none was made.',
    snapshot Nullable(String) COMMENT 'Snapshot that it was trained on.',
    champion LowCardinality(Nullable(String)) COMMENT 'Model that it was compared with, or that it replaced; null: there was none.',
    reason LowCardinality(Nullable(String)) COMMENT 'Why, for people: of a failure, a refusal, or a promotion by hand.',
    trainer LowCardinality(Nullable(String)) COMMENT 'Name of the trainer.',
    spec String COMMENT 'Features, trainer, its parameters and seed. JSON, keys sorted.',
    metrics Map(String, Float64) COMMENT 'Measurements by name, cross-fitted: accuracy, log_loss, rows, seconds, peak_mb and others.',
    checks String COMMENT 'What the gate compared. JSON.',
    regressed Array(String) COMMENT 'Items that the champion has right and the challenger wrong, the first 50.',
    libraries Map(String, String) COMMENT 'Version of each library that it was trained with.',
    predictions_hash Nullable(String) COMMENT 'SHA-256 of its cross-fitted predictions, hexadecimal.',
    items Int64 COMMENT 'Items scored or receipts told so far.',
    after Nullable(String) COMMENT 'Last item that was scored; null once all are.',
    logged_at DateTime64(3, 'UTC') COMMENT 'When the log got the record.',
    _topic LowCardinality(String) COMMENT 'Topic of the record, without prefix.',
    _partition UInt16 COMMENT 'Partition of the record.',
    _offset UInt64 COMMENT 'Offset of the record.',
    _version UInt64 COMMENT 'Decides between rows of one identity: the first copy of a fact wins.'
)
ENGINE = ReplacingMergeTree(_version)
ORDER BY (project, event_id)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'What happened to the models of a project: trained, refused, promoted, scored; the first copy of an event_id counts: read with FINAL.';

CREATE TABLE flips
(
    event_id String COMMENT 'Derived from model, part and item.',
    project LowCardinality(String) COMMENT 'Project.',
    item_id String COMMENT 'Item.',
    model_version LowCardinality(String) COMMENT 'The model.',
    champion LowCardinality(Nullable(String)) COMMENT 'The one before it.',
    snapshot String COMMENT 'Snapshot that it was trained on.',
    part LowCardinality(String) COMMENT 'fixed, corrected or held_out.',
    truth String COMMENT 'The right value as text.',
    before Nullable(String) COMMENT 'What the former model said, as text; null: it said nothing.',
    after String COMMENT 'What this model says, as text.',
    outcome LowCardinality(String) COMMENT 'now_right, still_wrong or newly_wrong.',
    at DateTime64(3, 'UTC') COMMENT 'Log time of the snapshot, milliseconds since 1970 UTC.',
    logged_at DateTime64(3, 'UTC') COMMENT 'When the log got the record.',
    _topic LowCardinality(String) COMMENT 'Topic of the record, without prefix.',
    _partition UInt16 COMMENT 'Partition of the record.',
    _offset UInt64 COMMENT 'Offset of the record.',
    _version UInt64 COMMENT 'Decides between rows of one identity: the newest wins.'
)
ENGINE = ReplacingMergeTree(_version)
ORDER BY (project, item_id, event_id)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Examples on which a model and the one before it are not both right; the newest row of an identity counts: read with FINAL.';

ALTER TABLE feedback ADD COLUMN IF NOT EXISTS recipient_role LowCardinality(String)
    COMMENT 'Why they hear of it: author (of the correction or flag) or labeller (of the label that was judged).' AFTER at;

ALTER TABLE feedback ADD COLUMN IF NOT EXISTS cause_kind LowCardinality(String)
    COMMENT 'What they did or what was done: corrections or flags.' AFTER recipient_role;

ALTER TABLE feedback ADD COLUMN IF NOT EXISTS by String
    COMMENT 'Who corrected or flagged.' AFTER cause_kind;

ALTER TABLE feedback ADD COLUMN IF NOT EXISTS by_role LowCardinality(String)
    COMMENT 'Their role then: annotator, reviewer, lead or system.' AFTER by;

ALTER TABLE feedback ADD COLUMN IF NOT EXISTS label_event Nullable(String)
    COMMENT 'event_id of the label that was judged.' AFTER by_role;

ALTER TABLE feedback ADD COLUMN IF NOT EXISTS label Nullable(String)
    COMMENT 'The label that was judged, as text.' AFTER label_event;

ALTER TABLE feedback ADD COLUMN IF NOT EXISTS resolved Nullable(String)
    COMMENT 'The value that was trained on, as text.' AFTER label;

ALTER TABLE feedback ADD COLUMN IF NOT EXISTS right_before Nullable(Bool)
    COMMENT 'Whether the former model had the item right, not trained on it; null: there was none.' AFTER resolved;

ALTER TABLE feedback ADD COLUMN IF NOT EXISTS right_after Nullable(Bool)
    COMMENT 'Whether the new model has the item right, not trained on it.' AFTER right_before;

ALTER TABLE feedback ADD COLUMN IF NOT EXISTS similar Nullable(String)
    COMMENT 'What the similar items have in common: group:NAME or class:NAME.' AFTER right_after;

ALTER TABLE feedback ADD COLUMN IF NOT EXISTS similar_items Int64
    COMMENT 'Number of similar items with a verdict or truth, without this one.' AFTER similar;

ALTER TABLE feedback ADD COLUMN IF NOT EXISTS similar_right_before Int64
    COMMENT 'How many of them the former model had right.' AFTER similar_items;

ALTER TABLE feedback ADD COLUMN IF NOT EXISTS similar_right_after Int64
    COMMENT 'How many of them the new model has right.' AFTER similar_right_before;

ALTER TABLE feedback ADD COLUMN IF NOT EXISTS place Int64
    COMMENT 'Place among the recipient\'s receipts of this model, the most instructive first, from 1.' AFTER similar_right_after;

ALTER TABLE feedback ADD COLUMN IF NOT EXISTS told Bool
    COMMENT 'Whether it is within what the policy lets a person hear of in a day; the others are kept for whoever asks.' AFTER place;

ALTER TABLE projects ADD COLUMN IF NOT EXISTS training String
    COMMENT 'The training policy, whole. JSON.' AFTER guideline;

ALTER TABLE feedback COMMENT COLUMN recipient 'Who hears of it.';

ALTER TABLE feedback COMMENT COLUMN event_id 'Derived from the cause, the recipient and the model.';
