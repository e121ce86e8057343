"""What a browser may do with any page that this package writes."""

CONTENT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
)
"""Of every page: styles and pictures are in it; nothing is fetched, and no script runs."""
