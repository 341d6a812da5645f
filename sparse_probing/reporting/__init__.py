"""Reports of results: terminal tables, figures and selectivity; nothing here fits a probe."""
