"""Tasks as statements: where the rows come from, what is measured, what others published."""
