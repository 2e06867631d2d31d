"""Transcripts as files: what a selection of runs is taken out as, part after part, and how it is taken in again."""
