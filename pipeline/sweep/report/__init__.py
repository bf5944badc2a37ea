"""The report of a sweep: results, table, figure and page."""
