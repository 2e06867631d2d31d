"""What many runs have in common, counted by the database: over time, and by agent, model, tool or user."""
