"""How right the inferred truth is and how soon a reviewer finds what is wrong, beside the best libraries."""
