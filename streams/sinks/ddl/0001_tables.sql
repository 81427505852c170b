-- One table for each topic: its schema's fields, then where the log has the record.

CREATE TABLE items
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
    text Nullable(String) COMMENT 'The text to annotate.',
    media Nullable(String) COMMENT 'Address of the image, audio or video.',
    features Array(Float64) COMMENT 'Numeric features.',
    features_file Nullable(String) COMMENT 'File that holds the features (npy, Parquet), relative to the project\'s data.',
    features_row Nullable(Int64) COMMENT 'Row in that file, from 0.',
    group Nullable(String) COMMENT 'Items of one group are alike: similar tasks are reviewed together.',
    task_type LowCardinality(Nullable(String)) COMMENT 'What is asked for, e.g. choice or boxes.',
    removed Bool COMMENT 'True: the item is withdrawn.',
    logged_at DateTime64(3, 'UTC') COMMENT 'When the log got the record.',
    _topic LowCardinality(String) COMMENT 'Topic of the record, without prefix.',
    _partition UInt16 COMMENT 'Partition of the record.',
    _offset UInt64 COMMENT 'Offset of the record.',
    _version UInt64 COMMENT 'Decides between rows of one identity: the first copy of a fact wins.'
)
ENGINE = ReplacingMergeTree(_version)
ORDER BY (project, item_id, event_id)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'What is to be annotated; the first copy of an event_id counts: read with FINAL.';

CREATE TABLE labels
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
    value_kind LowCardinality(Nullable(String)) COMMENT 'Kind of: The label; null only in a retraction.',
    label Nullable(String) COMMENT 'As text, to group by: The label; null only in a retraction.',
    value String COMMENT 'Whole, as JSON: The label; null only in a retraction.',
    retracted Bool COMMENT 'True: the annotator\'s label is taken back.',
    duration_ms Nullable(Int64) COMMENT 'Time the annotator spent, milliseconds.',
    logged_at DateTime64(3, 'UTC') COMMENT 'When the log got the record.',
    _topic LowCardinality(String) COMMENT 'Topic of the record, without prefix.',
    _partition UInt16 COMMENT 'Partition of the record.',
    _offset UInt64 COMMENT 'Offset of the record.',
    _version UInt64 COMMENT 'Decides between rows of one identity: the first copy of a fact wins.'
)
ENGINE = ReplacingMergeTree(_version)
ORDER BY (project, item_id, event_id)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'An annotator\'s label of an item, or its retraction; the first copy of an event_id counts: read with FINAL.';

CREATE TABLE flags
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
    kind LowCardinality(String) COMMENT 'What is doubted, e.g. wrong, unclear, offensive; any word.',
    severity Float64 COMMENT 'How sure the doubt is, 0 to 1.',
    text Nullable(String) COMMENT 'Explanation.',
    resolves Nullable(String) COMMENT 'event_id of the flag that this fact settles; null for a new flag.',
    logged_at DateTime64(3, 'UTC') COMMENT 'When the log got the record.',
    _topic LowCardinality(String) COMMENT 'Topic of the record, without prefix.',
    _partition UInt16 COMMENT 'Partition of the record.',
    _offset UInt64 COMMENT 'Offset of the record.',
    _version UInt64 COMMENT 'Decides between rows of one identity: the first copy of a fact wins.'
)
ENGINE = ReplacingMergeTree(_version)
ORDER BY (project, item_id, event_id)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Somebody doubts an item, or settles a doubt; the first copy of an event_id counts: read with FINAL.';

CREATE TABLE comments
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
    thread String COMMENT 'Thread within the item.',
    parent Nullable(String) COMMENT 'event_id of the comment that is answered.',
    anchor Nullable(String) COMMENT 'Id of the region or span that is meant.',
    text String COMMENT 'What is said.',
    resolved Bool COMMENT 'True: this contribution settles the thread.',
    logged_at DateTime64(3, 'UTC') COMMENT 'When the log got the record.',
    _topic LowCardinality(String) COMMENT 'Topic of the record, without prefix.',
    _partition UInt16 COMMENT 'Partition of the record.',
    _offset UInt64 COMMENT 'Offset of the record.',
    _version UInt64 COMMENT 'Decides between rows of one identity: the first copy of a fact wins.'
)
ENGINE = ReplacingMergeTree(_version)
ORDER BY (project, item_id, event_id)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Discussion threads on an item; the first copy of an event_id counts: read with FINAL.';

CREATE TABLE corrections
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
    verdict LowCardinality(String) COMMENT 'corrected (value is right), confirmed (the shown answer, given as value, is right), rejected (the shown answer is wrong, none given), unsure, undone (takes back the verdict named in undoes).',
    value_kind LowCardinality(Nullable(String)) COMMENT 'Kind of: The right answer; set for corrected and confirmed.',
    label Nullable(String) COMMENT 'As text, to group by: The right answer; set for corrected and confirmed.',
    value String COMMENT 'Whole, as JSON: The right answer; set for corrected and confirmed.',
    reason Nullable(String) COMMENT 'Why, in the reviewer\'s words.',
    judged_labels Array(String) COMMENT 'event_ids of the labels that were judged.',
    judged_prediction Nullable(String) COMMENT 'event_id of the prediction that was judged.',
    task_revision Nullable(String) COMMENT 'Revision of the review task that led to the verdict.',
    undoes Nullable(String) COMMENT 'event_id of the verdict that is taken back; set for undone.',
    logged_at DateTime64(3, 'UTC') COMMENT 'When the log got the record.',
    _topic LowCardinality(String) COMMENT 'Topic of the record, without prefix.',
    _partition UInt16 COMMENT 'Partition of the record.',
    _offset UInt64 COMMENT 'Offset of the record.',
    _version UInt64 COMMENT 'Decides between rows of one identity: the first copy of a fact wins.'
)
ENGINE = ReplacingMergeTree(_version)
ORDER BY (project, item_id, event_id)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'A reviewer\'s verdict on an item; the first copy of an event_id counts: read with FINAL.';

CREATE TABLE predictions
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
    model_version LowCardinality(String) COMMENT 'Model that predicted.',
    value_kind LowCardinality(Nullable(String)) COMMENT 'Kind of: The model\'s answer.',
    label Nullable(String) COMMENT 'As text, to group by: The model\'s answer.',
    value String COMMENT 'Whole, as JSON: The model\'s answer.',
    probabilities Map(String, Float64) COMMENT 'Probability by class, 0 to 1.',
    novelty Nullable(Float64) COMMENT 'How unlike the training data the item is, 0 to 1.',
    out_of_sample Bool COMMENT 'True: the model was not trained on this item.',
    logged_at DateTime64(3, 'UTC') COMMENT 'When the log got the record.',
    _topic LowCardinality(String) COMMENT 'Topic of the record, without prefix.',
    _partition UInt16 COMMENT 'Partition of the record.',
    _offset UInt64 COMMENT 'Offset of the record.',
    _version UInt64 COMMENT 'Decides between rows of one identity: the first copy of a fact wins.'
)
ENGINE = ReplacingMergeTree(_version)
ORDER BY (project, item_id, event_id)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'What a model version says of an item; the first copy of an event_id counts: read with FINAL.';

CREATE TABLE gold
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
    value_kind LowCardinality(Nullable(String)) COMMENT 'Kind of: The answer.',
    label Nullable(String) COMMENT 'As text, to group by: The answer.',
    value String COMMENT 'Whole, as JSON: The answer.',
    use LowCardinality(String) COMMENT 'evaluation (judges people and models and touches nothing else), truth (fixes the answer), fixed (truth that also joins the regression gate\'s examples).',
    logged_at DateTime64(3, 'UTC') COMMENT 'When the log got the record.',
    _topic LowCardinality(String) COMMENT 'Topic of the record, without prefix.',
    _partition UInt16 COMMENT 'Partition of the record.',
    _offset UInt64 COMMENT 'Offset of the record.',
    _version UInt64 COMMENT 'Decides between rows of one identity: the first copy of a fact wins.'
)
ENGINE = ReplacingMergeTree(_version)
ORDER BY (project, item_id, event_id)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'The known answer of an item and what it may be used for; the first copy of an event_id counts: read with FINAL.';

CREATE TABLE claims
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
    action LowCardinality(String) COMMENT 'claim, renew, release or skip.',
    lease_ms Nullable(Int64) COMMENT 'How long the claim holds from the log\'s timestamp, milliseconds; null: the policy\'s lease.',
    task_revision Nullable(String) COMMENT 'Revision of the review task that is claimed.',
    logged_at DateTime64(3, 'UTC') COMMENT 'When the log got the record.',
    _topic LowCardinality(String) COMMENT 'Topic of the record, without prefix.',
    _partition UInt16 COMMENT 'Partition of the record.',
    _offset UInt64 COMMENT 'Offset of the record.',
    _version UInt64 COMMENT 'Decides between rows of one identity: the first copy of a fact wins.'
)
ENGINE = ReplacingMergeTree(_version)
ORDER BY (project, item_id, event_id)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'A reviewer takes, keeps, gives back or skips an item; the first copy of an event_id counts: read with FINAL.';

CREATE TABLE projects
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
    classes Array(String) COMMENT 'All classes in order; a label outside them is refused from then on.',
    policy String COMMENT 'The review policy, whole. JSON.',
    members Map(String, String) COMMENT 'Role by actor id: annotator, reviewer or lead, whole. Once set, only reviewers and leads may give verdicts, truth and claims.',
    guideline String COMMENT 'A new guideline version. JSON.',
    logged_at DateTime64(3, 'UTC') COMMENT 'When the log got the record.',
    _topic LowCardinality(String) COMMENT 'Topic of the record, without prefix.',
    _partition UInt16 COMMENT 'Partition of the record.',
    _offset UInt64 COMMENT 'Offset of the record.',
    _version UInt64 COMMENT 'Decides between rows of one identity: the first copy of a fact wins.'
)
ENGINE = ReplacingMergeTree(_version)
ORDER BY (project, event_id)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Classes, policy, members and guidelines of a project; the first copy of an event_id counts: read with FINAL.';

CREATE TABLE review_state
(
    project LowCardinality(String) COMMENT 'Project.',
    item_id String COMMENT 'Item.',
    revision String COMMENT 'Names this content; a claim or verdict refers to it.',
    status LowCardinality(String) COMMENT 'unlabelled, open (wants a review), closed (has a verdict that stands) or removed.',
    tier LowCardinality(Nullable(String)) COMMENT 'p0 to p3 while open, else null.',
    priority Float64 COMMENT 'Expected benefit of one review, 0 to 1; 0 unless open.',
    rank Float64 COMMENT 'Priority less the ageing rate times opened_at in days: the order of the queue, the same at any time.',
    reasons Array(String) COMMENT 'Why it is in the queue, the strongest first.',
    consensus_value_kind LowCardinality(Nullable(String)) COMMENT 'Kind of: The answer that is shown: standing verdict, else truth gold, else majority; null without any or if the answer was rejected.',
    consensus_label Nullable(String) COMMENT 'As text, to group by: The answer that is shown: standing verdict, else truth gold, else majority; null without any or if the answer was rejected.',
    consensus_value String COMMENT 'Whole, as JSON: The answer that is shown: standing verdict, else truth gold, else majority; null without any or if the answer was rejected.',
    p_wrong Nullable(Float64) COMMENT 'Probability that the consensus is wrong, 0 to 1; null without labels or for kinds that are not scored.',
    consensus_source LowCardinality(String) COMMENT 'verdict, truth, majority or none.',
    majority Nullable(String) COMMENT 'The most frequent label, ties to the lowest; null without labels or for kinds that are not scored.',
    n_labels Int64 COMMENT 'Annotators whose label stands.',
    agreement Nullable(Float64) COMMENT 'Share of annotator pairs that agree, 0 to 1; null below two labels.',
    entropy Nullable(Float64) COMMENT 'Entropy of the votes in bits; null without labels.',
    candidates String COMMENT 'Competing answers side by side, the most frequent first. JSON.',
    prediction String COMMENT 'The newest prediction of the item. JSON.',
    open_flags Int64 COMMENT 'Flags nobody has settled.',
    open_threads Int64 COMMENT 'Threads nobody has settled.',
    verdict String COMMENT 'The last standing verdict. JSON.',
    annotators Array(String) COMMENT 'Everybody who ever labelled the item; none of them is given it to review.',
    skipped_by Array(String) COMMENT 'Reviewers who skipped it.',
    owner Nullable(String) COMMENT 'Reviewer who claimed it last and did not give it back.',
    lease_until Nullable(DateTime64(3, 'UTC')) COMMENT 'When that claim ends, milliseconds since 1970 UTC; after it the item is free.',
    group Nullable(String) COMMENT 'Group of similar items.',
    text Nullable(String) COMMENT 'The item\'s text, cut at 2,000 characters.',
    media Nullable(String) COMMENT 'Address of the item\'s image, audio or video.',
    opened_at DateTime64(3, 'UTC') COMMENT 'Log time of the item\'s first fact, milliseconds since 1970 UTC.',
    updated_at DateTime64(3, 'UTC') COMMENT 'Log time of the newest fact in this snapshot, milliseconds since 1970 UTC.',
    logged_at DateTime64(3, 'UTC') COMMENT 'When the log got the record.',
    _topic LowCardinality(String) COMMENT 'Topic of the record, without prefix.',
    _partition UInt16 COMMENT 'Partition of the record.',
    _offset UInt64 COMMENT 'Offset of the record.',
    _version UInt64 COMMENT 'Decides between rows of one identity: the newest wins.'
)
ENGINE = ReplacingMergeTree(_version)
ORDER BY (project, item_id)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'The present task and answer of every item; the newest row of an identity counts: read with FINAL.';

CREATE TABLE review_tasks
(
    project LowCardinality(String) COMMENT 'Project.',
    item_id String COMMENT 'Item.',
    revision String COMMENT 'Names this content; a claim or verdict refers to it.',
    status LowCardinality(String) COMMENT 'unlabelled, open (wants a review), closed (has a verdict that stands) or removed.',
    tier LowCardinality(Nullable(String)) COMMENT 'p0 to p3 while open, else null.',
    priority Float64 COMMENT 'Expected benefit of one review, 0 to 1; 0 unless open.',
    rank Float64 COMMENT 'Priority less the ageing rate times opened_at in days: the order of the queue, the same at any time.',
    reasons Array(String) COMMENT 'Why it is in the queue, the strongest first.',
    consensus_value_kind LowCardinality(Nullable(String)) COMMENT 'Kind of: The answer that is shown: standing verdict, else truth gold, else majority; null without any or if the answer was rejected.',
    consensus_label Nullable(String) COMMENT 'As text, to group by: The answer that is shown: standing verdict, else truth gold, else majority; null without any or if the answer was rejected.',
    consensus_value String COMMENT 'Whole, as JSON: The answer that is shown: standing verdict, else truth gold, else majority; null without any or if the answer was rejected.',
    p_wrong Nullable(Float64) COMMENT 'Probability that the consensus is wrong, 0 to 1; null without labels or for kinds that are not scored.',
    consensus_source LowCardinality(String) COMMENT 'verdict, truth, majority or none.',
    majority Nullable(String) COMMENT 'The most frequent label, ties to the lowest; null without labels or for kinds that are not scored.',
    n_labels Int64 COMMENT 'Annotators whose label stands.',
    agreement Nullable(Float64) COMMENT 'Share of annotator pairs that agree, 0 to 1; null below two labels.',
    entropy Nullable(Float64) COMMENT 'Entropy of the votes in bits; null without labels.',
    candidates String COMMENT 'Competing answers side by side, the most frequent first. JSON.',
    prediction String COMMENT 'The newest prediction of the item. JSON.',
    open_flags Int64 COMMENT 'Flags nobody has settled.',
    open_threads Int64 COMMENT 'Threads nobody has settled.',
    verdict String COMMENT 'The last standing verdict. JSON.',
    annotators Array(String) COMMENT 'Everybody who ever labelled the item; none of them is given it to review.',
    skipped_by Array(String) COMMENT 'Reviewers who skipped it.',
    owner Nullable(String) COMMENT 'Reviewer who claimed it last and did not give it back.',
    lease_until Nullable(DateTime64(3, 'UTC')) COMMENT 'When that claim ends, milliseconds since 1970 UTC; after it the item is free.',
    group Nullable(String) COMMENT 'Group of similar items.',
    text Nullable(String) COMMENT 'The item\'s text, cut at 2,000 characters.',
    media Nullable(String) COMMENT 'Address of the item\'s image, audio or video.',
    opened_at DateTime64(3, 'UTC') COMMENT 'Log time of the item\'s first fact, milliseconds since 1970 UTC.',
    updated_at DateTime64(3, 'UTC') COMMENT 'Log time of the newest fact in this snapshot, milliseconds since 1970 UTC.',
    logged_at DateTime64(3, 'UTC') COMMENT 'When the log got the record.',
    _topic LowCardinality(String) COMMENT 'Topic of the record, without prefix.',
    _partition UInt16 COMMENT 'Partition of the record.',
    _offset UInt64 COMMENT 'Offset of the record.',
    _version UInt64 COMMENT 'Decides between rows of one identity: the newest wins.'
)
ENGINE = ReplacingMergeTree(_version)
ORDER BY (project, item_id, revision)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Tasks as they entered the review tiers; the newest row of an identity counts: read with FINAL.';

CREATE TABLE disagreement
(
    project LowCardinality(String) COMMENT 'Project.',
    item_id String COMMENT 'Item.',
    kind LowCardinality(String) COMMENT 'Kind of the labels.',
    n_labels Int64 COMMENT 'Annotators whose label stands.',
    votes Map(String, Int64) COMMENT 'Number of annotators by label.',
    majority Nullable(String) COMMENT 'The most frequent label, ties to the lowest.',
    agreement Nullable(Float64) COMMENT 'Share of annotator pairs that agree, 0 to 1; null below two labels.',
    entropy Nullable(Float64) COMMENT 'Entropy of the votes in bits.',
    margin Nullable(Float64) COMMENT 'Share of the most frequent label less that of the next, 0 to 1.',
    updated_at DateTime64(3, 'UTC') COMMENT 'Log time of the newest fact in this snapshot, milliseconds since 1970 UTC.',
    logged_at DateTime64(3, 'UTC') COMMENT 'When the log got the record.',
    _topic LowCardinality(String) COMMENT 'Topic of the record, without prefix.',
    _partition UInt16 COMMENT 'Partition of the record.',
    _offset UInt64 COMMENT 'Offset of the record.',
    _version UInt64 COMMENT 'Decides between rows of one identity: the newest wins.'
)
ENGINE = ReplacingMergeTree(_version)
ORDER BY (project, item_id)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Agreement of the annotators on an item; the newest row of an identity counts: read with FINAL.';

CREATE TABLE judgements
(
    project LowCardinality(String) COMMENT 'Project.',
    item_id String COMMENT 'Item.',
    annotator String COMMENT 'Annotator.',
    event_id String COMMENT 'event_id of the label.',
    value_kind LowCardinality(Nullable(String)) COMMENT 'Kind of: The annotator\'s value; null if it was retracted.',
    label Nullable(String) COMMENT 'As text, to group by: The annotator\'s value; null if it was retracted.',
    value String COMMENT 'Whole, as JSON: The annotator\'s value; null if it was retracted.',
    labelled_at DateTime64(3, 'UTC') COMMENT 'When the label was given, else when the log got it, milliseconds since 1970 UTC.',
    duration_ms Nullable(Int64) COMMENT 'Time the annotator spent, milliseconds.',
    guideline_version LowCardinality(Nullable(String)) COMMENT 'Guideline in force when the label was given.',
    reference_value_kind LowCardinality(Nullable(String)) COMMENT 'Kind of: Standing verdict, else truth gold; null without either.',
    reference_label Nullable(String) COMMENT 'As text, to group by: Standing verdict, else truth gold; null without either.',
    reference_value String COMMENT 'Whole, as JSON: Standing verdict, else truth gold; null without either.',
    reference_source LowCardinality(String) COMMENT 'verdict, truth or none.',
    judged_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When the verdict was given, milliseconds since 1970 UTC; null for gold.',
    logged_at DateTime64(3, 'UTC') COMMENT 'When the log got the record.',
    _topic LowCardinality(String) COMMENT 'Topic of the record, without prefix.',
    _partition UInt16 COMMENT 'Partition of the record.',
    _offset UInt64 COMMENT 'Offset of the record.',
    _version UInt64 COMMENT 'Decides between rows of one identity: the newest wins.'
)
ENGINE = ReplacingMergeTree(_version)
ORDER BY (project, item_id, annotator)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'An annotator\'s present value of an item beside its verdict; partitioned by project; the newest row of an identity counts: read with FINAL.';

CREATE TABLE labels_corrected
(
    project LowCardinality(String) COMMENT 'Project.',
    item_id String COMMENT 'Item.',
    value_kind LowCardinality(Nullable(String)) COMMENT 'Kind of: The resolved label; null if the item is not resolved any more.',
    label Nullable(String) COMMENT 'As text, to group by: The resolved label; null if the item is not resolved any more.',
    value String COMMENT 'Whole, as JSON: The resolved label; null if the item is not resolved any more.',
    source LowCardinality(String) COMMENT 'verdict, truth, consensus or none.',
    weight_ppm Int64 COMMENT 'Confidence in parts per million: fixed point, so that equal evidence gives equal bytes.',
    evidence Array(String) COMMENT 'event_ids of the facts it rests on, sorted.',
    schema_version LowCardinality(Nullable(String)) COMMENT 'Label schema of the evidence, where all of it agrees.',
    guideline_version LowCardinality(Nullable(String)) COMMENT 'Guideline of the evidence, where all of it agrees.',
    updated_at DateTime64(3, 'UTC') COMMENT 'Log time of the newest fact in this snapshot, milliseconds since 1970 UTC.',
    logged_at DateTime64(3, 'UTC') COMMENT 'When the log got the record.',
    _topic LowCardinality(String) COMMENT 'Topic of the record, without prefix.',
    _partition UInt16 COMMENT 'Partition of the record.',
    _offset UInt64 COMMENT 'Offset of the record.',
    _version UInt64 COMMENT 'Decides between rows of one identity: the newest wins.'
)
ENGINE = ReplacingMergeTree(_version)
ORDER BY (project, item_id)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'The resolved label of an item with its evidence; the newest row of an identity counts: read with FINAL.';

CREATE TABLE feedback
(
    event_id String COMMENT 'Derived from the cause and the stage.',
    project LowCardinality(String) COMMENT 'Project.',
    item_id String COMMENT 'Item.',
    recipient String COMMENT 'Actor who flagged or corrected.',
    caused_by String COMMENT 'event_id of the flag or correction.',
    stage LowCardinality(String) COMMENT 'snapshot (taken into training), promoted, refused.',
    snapshot Nullable(String) COMMENT 'Snapshot that took it.',
    model_version LowCardinality(Nullable(String)) COMMENT 'Model trained on it.',
    before_value_kind LowCardinality(Nullable(String)) COMMENT 'Kind of: What the former model said of the item.',
    before_label Nullable(String) COMMENT 'As text, to group by: What the former model said of the item.',
    before_value String COMMENT 'Whole, as JSON: What the former model said of the item.',
    after_value_kind LowCardinality(Nullable(String)) COMMENT 'Kind of: What the new model says of it.',
    after_label Nullable(String) COMMENT 'As text, to group by: What the new model says of it.',
    after_value String COMMENT 'Whole, as JSON: What the new model says of it.',
    at DateTime64(3, 'UTC') COMMENT 'Log time of what caused the receipt, milliseconds since 1970 UTC.',
    logged_at DateTime64(3, 'UTC') COMMENT 'When the log got the record.',
    _topic LowCardinality(String) COMMENT 'Topic of the record, without prefix.',
    _partition UInt16 COMMENT 'Partition of the record.',
    _offset UInt64 COMMENT 'Offset of the record.',
    _version UInt64 COMMENT 'Decides between rows of one identity: the newest wins.'
)
ENGINE = ReplacingMergeTree(_version)
ORDER BY (project, item_id, event_id)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'What became of somebody\'s flag or correction; the newest row of an identity counts: read with FINAL.';

CREATE TABLE dead_letters
(
    consumer LowCardinality(String) COMMENT 'Who refused it, e.g. items or sink.',
    topic LowCardinality(String) COMMENT 'Full name of the topic it lies in.',
    partition Int32 COMMENT 'Partition there.',
    offset Int64 COMMENT 'Offset there.',
    log_time DateTime64(3, 'UTC') COMMENT 'The record\'s timestamp, milliseconds since 1970 UTC.',
    reason LowCardinality(String) COMMENT 'Code: undecodable, unknown_schema, too_large, foreign_partitioner, invalid, unknown_class, not_allowed, id_conflict, item_too_large, refused or bug.',
    detail String COMMENT 'What is wrong and the remedy; for a bug the traceback. At most 8,000 characters.',
    key Nullable(String) COMMENT 'The record\'s key; of a longer one the first 4,096 bytes.',
    value Nullable(String) COMMENT 'The record\'s bytes; null if too large to carry.',
    value_head String COMMENT 'The first 1,024 bytes.',
    value_bytes Int64 COMMENT 'Size of the value in bytes.',
    value_sha256 String COMMENT 'SHA-256 of the value, hexadecimal.',
    logged_at DateTime64(3, 'UTC') COMMENT 'When the log got the record.',
    _topic LowCardinality(String) COMMENT 'Topic of the record, without prefix.',
    _partition UInt16 COMMENT 'Partition of the record.',
    _offset UInt64 COMMENT 'Offset of the record.',
    _version UInt64 COMMENT 'Decides between rows of one identity: the newest wins.'
)
ENGINE = ReplacingMergeTree(_version)
ORDER BY (consumer, topic, partition, offset)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Records that could not be processed, with the reason; the newest row of an identity counts: read with FINAL.';
