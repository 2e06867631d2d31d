"""How long transcripts are kept."""

from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import models


class RetentionRule(models.Model):
    """Sessions whose every run is of this agent or of others with a rule are deleted so many days after the last event; an empty
    `agent` is the rule for all agents that have none of their own. The longest of a session's rules holds.
    """

    agent = models.CharField(max_length=64, unique=True, blank=True)
    days = models.PositiveIntegerField(validators=[MinValueValidator(1)])

    def __str__(self) -> str:
        return f"{self.agent or 'all other agents'}: {self.days} days"
