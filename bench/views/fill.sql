-- Tables as a year of annotation leaves them: three labels an item, a model beside the people; 10 projects of one size,
-- 5,000 annotators. In braces: the number of labels, and the names below, what each label is made of.

-- names
    number AS n,
    intDiv(n, 3) AS item,
    'bench-' || toString(item % 10) AS project,
    'item-' || leftPad(toString(item), 9, '0') AS item_id,
    toDateTime64('2025-01-01 00:00:00', 3, 'UTC') + toIntervalSecond(intDiv(n * 31536000, {labels})) AS moment,
    'annotator-' || toString(((item % 10) * 500 + cityHash64(n) % 1000) % 5000) AS who, -- each works in two projects
    ['cat', 'dog', 'bird', 'none of these'][1 + cityHash64(item, 'truth') % 4] AS truth,
    ['cat', 'dog', 'bird', 'none of these'][1 + cityHash64(n, 'slip') % 4] AS slip,
    if(cityHash64(n, 'wrong') % 100 < 15, slip, truth) AS said,
    cityHash64(item, 'known') % 10 = 0 AS known;

-- fills

INSERT INTO labels (event_id, project, item_id, actor_id, actor_kind, occurred_at, source, source_seq, value_kind, label,
    value, retracted, duration_ms, logged_at, _topic, _partition, _offset, _version)
WITH {names}
SELECT lower(hex(MD5(toString(n)))), project, item_id, who, 'annotator', moment, 'bench', n, 'choice', said,
    '{"choice":"' || said || '","kind":"choice"}', false, 900 + cityHash64(n, 'time') % 20000,
    moment AS logged_at, 'labels' AS _topic, item % 4 AS _partition, n AS _offset, -n - 1
FROM numbers({labels});

INSERT INTO judgements (project, item_id, annotator, actor_kind, event_id, value_kind, label, value, labelled_at,
    duration_ms, guideline_version, reference_value_kind, reference_label, reference_value, reference_source, judged_at,
    logged_at, _topic, _partition, _offset, _version)
WITH {names}
SELECT project, item_id, who, 'annotator', lower(hex(MD5(toString(n)))), 'choice', said,
    '{"choice":"' || said || '","kind":"choice"}', moment, 900 + cityHash64(n, 'time') % 20000, 'v1',
    if(known, 'choice', NULL), if(known, truth, NULL), if(known, '{"choice":"' || truth || '","kind":"choice"}', ''),
    if(known, 'verdict', 'none'), if(known, moment, NULL),
    moment AS logged_at, 'labels' AS _topic, item % 4 AS _partition, n AS _offset, n
FROM numbers({labels});

INSERT INTO judgements (project, item_id, annotator, actor_kind, event_id, value_kind, label, value, labelled_at,
    reference_value_kind, reference_label, reference_source, logged_at, _topic, _partition, _offset, _version)
WITH {names}
SELECT project, item_id, 'model', 'model', 'model-' || toString(n), 'choice',
    if(cityHash64(n, 'model') % 10 = 0, slip, truth), '', moment, if(known, 'choice', NULL), if(known, truth, NULL),
    if(known, 'verdict', 'none'),
    moment AS logged_at, 'labels' AS _topic, item % 4 AS _partition, n AS _offset, n
FROM numbers({labels}) WHERE n % 3 = 2;

INSERT INTO items (event_id, project, item_id, actor_id, actor_kind, source, text, logged_at, _topic, _partition, _offset,
    _version)
WITH {names}
SELECT 'item-' || toString(n), project, item_id, 'import', 'system', 'bench', 'What is it that item ' || item_id || ' shows?',
    moment AS logged_at, 'labels' AS _topic, item % 4 AS _partition, n AS _offset, -n - 1
FROM numbers({labels}) WHERE n % 3 = 0;

INSERT INTO predictions (event_id, project, item_id, actor_id, actor_kind, source, model_version, value_kind, label,
    probabilities, logged_at, _topic, _partition, _offset, _version)
WITH {names}
SELECT 'model-' || toString(n), project, item_id, 'model', 'model', 'bench', 'm1', 'choice', said, map(said, 0.9),
    moment AS logged_at, 'labels' AS _topic, item % 4 AS _partition, n AS _offset, -n - 1
FROM numbers({labels}) WHERE n % 3 = 2;

INSERT INTO review_history (project, item_id, at, status, consensus_source, consensus_value_kind, consensus_label, p_wrong,
    _version)
WITH {names}
SELECT project, item_id, moment, 'open', 'posterior', 'choice', said, (cityHash64(n) % 1000) / 1500, n
FROM numbers({labels}) WHERE n % 3 < 2;

INSERT INTO review_state (project, item_id, revision, status, tier, priority, rank, reasons, consensus_value_kind,
    consensus_label, consensus_value, p_wrong, consensus_source, n_labels, agreement, entropy, candidates, verdict,
    annotators, posterior, text, opened_at, updated_at, logged_at, _topic, _partition, _offset, _version)
WITH {names}, (cityHash64(n, 'p') % 1000) / 1500 AS p, known OR cityHash64(item, 'open') % 10 > 1 AS closed
SELECT project, item_id, lower(hex(MD5(toString(item)))), if(closed, 'closed', 'open'),
    if(closed, NULL, 'p' || toString(cityHash64(n) % 4)), if(closed, 0, p), if(closed, 0, p), ['disagreement'], 'choice',
    if(known, truth, said), '{"choice":"' || said || '","kind":"choice"}', if(known, 0, p),
    if(known, 'verdict', 'posterior'), 3, 0.7, 0.9, '[{"label":"' || said || '","share":0.67}]',
    if(known, '{"verdict":"corrected"}', ''), [who], map(said, 1 - p, slip, p),
    'What is it that item ' || item_id || ' shows?', moment, moment,
    moment AS logged_at, 'labels' AS _topic, item % 4 AS _partition, n AS _offset, n
FROM numbers({labels}) WHERE n % 3 = 2;

INSERT INTO disagreement (project, item_id, kind, n_labels, votes, majority, agreement, entropy, margin, updated_at,
    logged_at, _topic, _partition, _offset, _version)
WITH {names}
SELECT project, item_id, 'choice', 3, map(said, 2, slip, 1), said, 0.33, (cityHash64(n) % 1000) / 1000, 0.3, moment,
    moment AS logged_at, 'labels' AS _topic, item % 4 AS _partition, n AS _offset, n
FROM numbers({labels}) WHERE n % 3 = 2;

INSERT INTO corrections (event_id, project, item_id, actor_id, actor_kind, occurred_at, source, verdict, value_kind, label,
    value, logged_at, _topic, _partition, _offset, _version)
WITH {names}
SELECT 'verdict-' || toString(n), project, item_id, 'reviewer-' || toString(cityHash64(n) % 50), 'reviewer', moment, 'bench',
    if(said = truth, 'confirmed', 'corrected'), 'choice', truth, '',
    moment AS logged_at, 'labels' AS _topic, item % 4 AS _partition, n AS _offset, -n - 1
FROM numbers({labels}) WHERE n % 3 = 2 AND known;

INSERT INTO gold (event_id, project, item_id, actor_id, actor_kind, occurred_at, source, use, value_kind, label, value,
    logged_at, _topic, _partition, _offset, _version)
WITH {names}
SELECT 'gold-' || toString(n), project, item_id, 'lead', 'lead', moment, 'bench', 'evaluation', 'choice', truth, '',
    moment AS logged_at, 'labels' AS _topic, item % 4 AS _partition, n AS _offset, -n - 1
FROM numbers({labels}) WHERE n % 300 = 2;

INSERT INTO skill (project, annotator, actor_kind, refit, n_labels, judged, accuracy, low, high, recent, drift_at, _version)
SELECT 'bench-' || toString(number % 10), 'annotator-' || toString(intDiv(number, 3)), 'annotator', 7, 1000, 100, 0.85,
    0.8, 0.9, 0.84, if(number % 50 = 0, toDateTime64('2025-12-01 00:00:00', 3, 'UTC'), NULL), number
FROM numbers(15000);

INSERT INTO agreement (project, scope, name, refit, items, labels, raw, alpha, _version)
SELECT 'bench-' || toString(number % 10), 'day', toString(intDiv(number, 10)), 7, 1000, 3000, 0.7, 0.6, number
FROM numbers(3650);

INSERT INTO snapshots (event_id, project, snapshot, cause, as_of, rows, source_counts, class_counts, logged_at, _offset,
    _version)
SELECT 's-' || toString(number), 'bench-' || toString(number % 10), 's-' || toString(number), 'corrections',
    toDateTime64('2025-01-08 00:00:00', 3, 'UTC') + toIntervalWeek(intDiv(number, 10)) AS moment, 1000,
    map('verdict', 1000), map('cat', 1000), moment, number, -number - 1
FROM numbers(500);

INSERT INTO models (event_id, project, stage, model_version, snapshot, trainer, metrics, checks, logged_at, _offset, _version)
SELECT 'm-' || toString(number), 'bench-' || toString(intDiv(number, 2) % 10),
    if(number % 2 = 0, 'trained', 'promoted'), 'm-' || toString(intDiv(number, 2)), 's-' || toString(intDiv(number, 2)),
    'logistic', map('accuracy', 0.9, 'rows', 1000), '[{"part":"fixed","examples":100}]',
    toDateTime64('2025-01-08 00:00:00', 3, 'UTC') + toIntervalWeek(intDiv(number, 20)), number, -number - 1
FROM numbers(1000);

INSERT INTO flips (event_id, project, item_id, model_version, champion, snapshot, part, truth, before, after, outcome, _version)
SELECT 'f-' || toString(number), 'bench-' || toString(number % 10), 'item-' || leftPad(toString(number), 9, '0'),
    'm-' || toString(number % 500), 'm-0', 's', 'held_out', 'cat', 'dog', 'cat', 'now_right', number
FROM numbers(intDiv({labels}, 30));

INSERT INTO feedback (event_id, project, item_id, recipient, recipient_role, caused_by, model_version, right_before,
    right_after, told, at, _version)
WITH {names}
SELECT 'r-' || toString(n), project, item_id, who, 'annotator', 'verdict-' || toString(n), 'm-1', false, true, true, moment, n
FROM numbers({labels}) WHERE n % 3 = 2 AND known;
