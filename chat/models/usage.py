"""What users have used."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class DailyUsage(models.Model):
    """What a user's runs have used in one day (UTC), in tokens."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="daily_usage")
    day = models.DateField()
    input_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)

    class Meta:
        verbose_name_plural = "daily usage"
        constraints = [models.UniqueConstraint(fields=["user", "day"], name="one_usage_for_each_day")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.day}"
