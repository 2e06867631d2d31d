"""How often a run called which tools."""

from __future__ import annotations

from django.db import models

from chat.models.run import Run


class ToolCount(models.Model):
    """A roll-up of a run's steps for one tool, kept by `chat.tool_counts`: it goes with its run, and what is asked of many runs
    need not read their steps.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="tool_counts")
    tool_name = models.CharField(max_length=128)
    calls = models.PositiveIntegerField(default=0)
    errors = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "tool_name"], name="one_count_for_each_tool")]
        indexes = [models.Index(fields=["tool_name", "run"], name="tool_count_tool_run")]

    def __str__(self) -> str:
        return f"{self.tool_name}: {self.calls}"
