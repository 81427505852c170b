"""A project's report: one page with plots, and the numbers behind each as CSV.

Numbers become figures, figures become a page. All of it is pure; `shell` alone reads ClickHouse and writes files.
"""
