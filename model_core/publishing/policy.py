"""What a browser may do with any page that this package writes."""

CONTENT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
)
"""Styles and pictures stand in the page itself; it fetches nothing, and no script runs."""
