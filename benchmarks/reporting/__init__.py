"""What a report says: facts of a run, gathered once and shown as HTML, Markdown and JSON."""
