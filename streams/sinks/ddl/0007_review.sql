-- What weighs a review task.

ALTER TABLE skill ADD COLUMN IF NOT EXISTS drifting Bool
    COMMENT 'True: that alarm went off within the last 60 labels.' AFTER drift_at;

ALTER TABLE review_state ADD COLUMN IF NOT EXISTS doubts Map(String, Float64)
    COMMENT 'Probability, by reason, that the shown answer is wrong for what its labels do not say, 0 to 1: flag, stale_guideline, comment. With p_wrong they make p = 1 - (1 - p_wrong) * product of (1 - doubt).' AFTER reasons;

ALTER TABLE review_state ADD COLUMN IF NOT EXISTS terms Map(String, Float64)
    COMMENT 'Factor by reason: model_conflict, frequent_mistake, edge_case, drifting_annotator, new_annotator. Priority = p * product of the terms, the product at most 4.' AFTER doubts;

ALTER TABLE review_state COMMENT COLUMN priority
    'Expected benefit of one review, 0 to 4: the probability that the shown answer is wrong, times the weight; 0 unless open.';

ALTER TABLE review_state COMMENT COLUMN consensus_value_kind
    'Kind of: The answer that is shown: standing verdict, else truth gold, else what the policy says (posterior, majority or imported); null without any or if the answer was rejected.';

ALTER TABLE review_state COMMENT COLUMN consensus_label
    'As text, to group by: The answer that is shown: standing verdict, else truth gold, else what the policy says (posterior, majority or imported); null without any or if the answer was rejected.';

ALTER TABLE review_state COMMENT COLUMN consensus_value
    'Whole, as JSON: The answer that is shown: standing verdict, else truth gold, else what the policy says (posterior, majority or imported); null without any or if the answer was rejected.';

ALTER TABLE review_state COMMENT COLUMN consensus_source
    'verdict, truth, posterior, majority, imported or none.';

ALTER TABLE review_tasks ADD COLUMN IF NOT EXISTS doubts Map(String, Float64)
    COMMENT 'Probability, by reason, that the shown answer is wrong for what its labels do not say, 0 to 1: flag, stale_guideline, comment. With p_wrong they make p = 1 - (1 - p_wrong) * product of (1 - doubt).' AFTER reasons;

ALTER TABLE review_tasks ADD COLUMN IF NOT EXISTS terms Map(String, Float64)
    COMMENT 'Factor by reason: model_conflict, frequent_mistake, edge_case, drifting_annotator, new_annotator. Priority = p * product of the terms, the product at most 4.' AFTER doubts;

ALTER TABLE review_tasks COMMENT COLUMN priority
    'Expected benefit of one review, 0 to 4: the probability that the shown answer is wrong, times the weight; 0 unless open.';

ALTER TABLE review_tasks COMMENT COLUMN consensus_value_kind
    'Kind of: The answer that is shown: standing verdict, else truth gold, else what the policy says (posterior, majority or imported); null without any or if the answer was rejected.';

ALTER TABLE review_tasks COMMENT COLUMN consensus_label
    'As text, to group by: The answer that is shown: standing verdict, else truth gold, else what the policy says (posterior, majority or imported); null without any or if the answer was rejected.';

ALTER TABLE review_tasks COMMENT COLUMN consensus_value
    'Whole, as JSON: The answer that is shown: standing verdict, else truth gold, else what the policy says (posterior, majority or imported); null without any or if the answer was rejected.';

ALTER TABLE review_tasks COMMENT COLUMN consensus_source
    'verdict, truth, posterior, majority, imported or none.';

ALTER TABLE review_state ADD COLUMN IF NOT EXISTS unsure_by Array(String)
    COMMENT 'Reviewers who could not decide; none of them is given it again.' AFTER skipped_by;

ALTER TABLE review_tasks ADD COLUMN IF NOT EXISTS unsure_by Array(String)
    COMMENT 'Reviewers who could not decide; none of them is given it again.' AFTER skipped_by;

ALTER TABLE corrections COMMENT COLUMN verdict
    'corrected (value is right), confirmed (the shown answer, given as value, is right), rejected (the shown answer is wrong, none given), unsure (asks for another reviewer), undone (takes back the verdict named in undoes).';

ALTER TABLE review_state ADD COLUMN IF NOT EXISTS groups Array(String)
    COMMENT 'Further groups of similar items: near:KEY (near-duplicate text or features), pair:A|B (A is shown, B is its strongest rival; while open).' AFTER group;

ALTER TABLE review_state COMMENT COLUMN group
    'Group of similar items: the item\'s own, else its pair of competing classes.';

ALTER TABLE review_tasks ADD COLUMN IF NOT EXISTS groups Array(String)
    COMMENT 'Further groups of similar items: near:KEY (near-duplicate text or features), pair:A|B (A is shown, B is its strongest rival; while open).' AFTER group;

ALTER TABLE review_tasks COMMENT COLUMN group
    'Group of similar items: the item\'s own, else its pair of competing classes.';
